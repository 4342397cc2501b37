/** What `pgark prune --json` prints, as far as tests look at it. */
export interface PruneAnswer {
  readonly confirmed: boolean;
  readonly lives: readonly PrunedLife[];
}

export interface PrunedLife {
  readonly identity: string;
  readonly refused: { readonly message: string; readonly hint: string | null } | null;
  readonly backups: readonly {
    readonly label: string;
    readonly verdict: "keep" | "expire";
    readonly reasons: readonly { readonly kind: string }[];
  }[];
  readonly wal: readonly { readonly first: string; readonly last: string; readonly verdict: "keep" | "expire" }[];
  readonly unfinished: readonly { readonly label: string; readonly verdict: "running" | "abandoned" }[];
  readonly frees: {
    readonly backups: number;
    readonly segments: number;
    readonly objects: number;
    readonly bytes: number;
  };
  readonly windowBefore: readonly ListedWindow[];
  readonly windowAfter: readonly ListedWindow[];
  readonly deleted: {
    readonly backups: readonly string[];
    readonly unfinished: readonly string[];
    readonly segments: number;
    readonly uploads: number;
    readonly objects: number;
    readonly bytes: number;
    readonly notDeleted: { readonly objects: number };
  } | null;
}

export interface ListedWindow {
  readonly timeline: number;
  readonly from: { readonly lsn: string };
  readonly to: { readonly lsn: string };
}
