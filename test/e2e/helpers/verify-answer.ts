export interface CommandAnswer {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** What `pgark verify --json` says. */
export interface VerifyAnswer {
  readonly exitCode: number;
  readonly stderr: string;
  readonly result: string;
  readonly faults: readonly FaultAnswer[];
  readonly lost: LossAnswer;
  readonly life: LifeAnswer;
}

export interface LifeAnswer {
  readonly faults: readonly FaultAnswer[];
  readonly lost: LossAnswer;
  readonly unknown: readonly { readonly object: string; readonly problem: string }[];
  readonly acknowledged: readonly { readonly first: string; readonly last: string }[];
  readonly expired: readonly { readonly first: string; readonly last: string }[];
  readonly record: string | null;
  readonly packsRead: number;
  readonly segmentsRead: number;
}

export interface FaultAnswer {
  readonly kind: string;
  readonly object: string;
  readonly problem: string;
  readonly lost: LossAnswer;
}

export interface LossAnswer {
  readonly backups: readonly string[];
  readonly moments: readonly {
    readonly timeline: number;
    readonly from: { readonly lsn: string };
    readonly to: { readonly lsn: string };
  }[];
}
