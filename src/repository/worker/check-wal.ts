import { isPgarkError, PgarkError } from "../../errors.ts";
import { lsn } from "../../postgres/lsn.ts";
import { verifyWalSegment } from "../../postgres/wal-header.ts";
import type { WalHeader } from "../../postgres/wal-header.ts";
import { checkWalSegment } from "../../postgres/wal-records.ts";
import type { WalSegmentCheck } from "../../postgres/wal-segment-check.ts";
import { contentDigestHex } from "../envelope/content-digest.ts";
import { PayloadReader } from "../envelope/payload-reader.ts";
import { openZstd } from "../envelope/zstd.ts";
import { FirstDamage } from "./first-damage.ts";
import type { CheckedWal, CheckWalTask } from "./check-tasks.ts";
import { Counters } from "./pack-tasks.ts";
import { PartReceiver } from "./shared-parts.ts";

/** Worker: reads one segment as wal-fetch does, and then its records. Damage is an answer, not an error. */
export function checkWal(task: CheckWalTask): CheckedWal {
  const content = new Content(task.plain);
  const broken = receive(task, content);
  if (broken !== undefined) return { kind: "damaged", problem: broken };
  const { bytes } = content;
  if (bytes.length !== task.head.size || contentDigestHex(bytes) !== task.head.digest) {
    return { kind: "damaged", problem: "the content is not what the object's head says" };
  }
  const { name, identity } = task;
  let header: WalHeader;
  try {
    header = verifyWalSegment({ name, bytes, identity });
  } catch (error) {
    if (!isPgarkError(error, "corrupt", "identity-mismatch")) throw error;
    return { kind: "misplaced", problem: error.message };
  }
  const isKnown = header.majorVersion !== undefined;
  return {
    kind: "read",
    check: isKnown ? apart(checkWalSegment({ name, bytes, identity })) : undefined,
    inheritedUntil: lsn(header.pageAddress + BigInt(inheritedPages(task, bytes, header) * header.blockSize)),
    blockSize: header.blockSize,
  };
}

/** Without views of the memory that the next segment comes to, which lies in several threads at once. */
function apart(check: WalSegmentCheck): WalSegmentCheck {
  const { head, tail } = check;
  return {
    ...check,
    head: head && { ...head, first: Uint8Array.from(head.first) },
    tail: tail && { ...tail, header: Uint8Array.from(tail.header) },
  };
}

/** Takes all parts, whatever is in them, and returns what is wrong with them. */
function receive(task: CheckWalTask, content: Content): string | undefined {
  const receiver = new PartReceiver(task.parts, task.port);
  const counters = new Counters(task.counters);
  const reader = new PayloadReader({ zstd: openZstd(1), key: task.key, plain: (bytes) => content.add(bytes) });
  const damage = new FirstDamage();
  const take = (bytes: Uint8Array): void => {
    counters.addBytes(bytes.length);
    damage.attempt(() => reader.write(bytes));
  };
  while (receiver.take(take) > 0);
  damage.attempt(() => reader.end());
  return damage.problem;
}

class Content {
  readonly #memory: Buffer;
  #length = 0;

  constructor(memory: SharedArrayBuffer) {
    this.#memory = Buffer.from(memory);
  }

  add(bytes: Uint8Array): void {
    if (this.#length + bytes.length > this.#memory.length) {
      throw new PgarkError("corrupt", "the content is larger than a segment", { operation: "read WAL" });
    }
    this.#memory.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  get bytes(): Buffer {
    return this.#memory.subarray(0, this.#length);
  }
}

/** By xlp_tli of each page: the first segment of a timeline begins with a copy of its parent's pages. */
function inheritedPages({ name }: CheckWalTask, bytes: Buffer, { blockSize }: WalHeader): number {
  for (let page = 0; page * blockSize + 8 <= bytes.length; page++) {
    const timeline = bytes.readUInt32LE(page * blockSize + 4);
    if (timeline === name.timeline || timeline === 0) return page;
  }
  return bytes.length / blockSize;
}
