import type { SpoiledArchive } from "../helpers/spoiled-archive.ts";
import type { LossAnswer } from "../helpers/verify-answer.ts";
import type { VerifyPlaces } from "../helpers/verify-places.ts";

/** Something that is done to an archive, and what `pgark verify` must say of it. */
export interface FaultCase {
  /** after "finds " */
  readonly title: string;
  /** `listed`: without reading data back; `read`: only by that */
  readonly depth: "listed" | "read";
  readonly spoil: (spoiled: SpoiledArchive, at: VerifyPlaces) => Promise<void>;
  /** kind and object of each fault */
  readonly faults: (spoiled: SpoiledArchive, at: VerifyPlaces) => readonly (readonly [kind: string, object: string])[];
  readonly lost: (at: VerifyPlaces) => LossAnswer;
}

/** Puts `text` in the place of what the pattern finds, which must be there. */
export function changeText(bytes: Buffer, pattern: RegExp, text: string): Buffer {
  const changed = bytes.toString("latin1").replace(pattern, text);
  if (changed === bytes.toString("latin1")) throw new Error(`${String(pattern)} is not there`);
  return Buffer.from(changed, "latin1");
}
