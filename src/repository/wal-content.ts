import type { ClusterIdentity } from "../postgres/cluster-identity.ts";
import { parseTimelineHistory } from "../postgres/timeline.ts";
import type { WalFileName } from "../postgres/wal-file-name.ts";
import { readWalHeader, verifyWalHeader, WAL_HEADER_SIZE } from "../postgres/wal-header.ts";
import type { WalHeader } from "../postgres/wal-header.ts";

/** Holds what passes of a WAL file against its name: the header of a segment, the lines of a timeline history. */
export class WalContentCheck {
  readonly #name: WalFileName;
  /** the first bytes, as many as are looked at */
  #start: Uint8Array = new Uint8Array();
  #size = 0;

  constructor(name: WalFileName) {
    this.#name = name;
  }

  /** Takes the next bytes of the file. */
  write(bytes: Uint8Array): void {
    this.#size += bytes.length;
    const wanted = lookedAt(this.#name) - this.#start.length;
    if (wanted > 0) this.#start = Buffer.concat([this.#start, bytes.subarray(0, wanted)]);
  }

  /**
   * Says that the file ends here, and gives a segment's header. Throws `corrupt` when the content is not what its name says,
   * `identity-mismatch` when a segment is not of `identity`.
   */
  end(identity?: ClusterIdentity): WalHeader | undefined {
    const name = this.#name;
    switch (name.kind) {
      case "segment":
      case "partial":
        return verifyWalHeader({ name, header: readWalHeader(this.#start, name.name), size: this.#size, identity });
      case "history":
        parseTimelineHistory(Buffer.from(this.#start).toString("utf8"), name.timeline);
        return undefined;
      case "backup":
        return undefined;
    }
  }
}

function lookedAt({ kind }: WalFileName): number {
  if (kind === "history") return Number.POSITIVE_INFINITY;
  return kind === "backup" ? 0 : WAL_HEADER_SIZE;
}
