import { createHash } from "node:crypto";

/** A random share of packs and segments, the same ones each time for one seed. */
export interface Sample {
  /** above 0, up to 1 */
  readonly share: number;
  readonly seed: string;
}

/** Whether an object belongs to the sample; all do where there is none. */
export function isChosen(sample: Sample | undefined, key: string): boolean {
  if (sample === undefined) return true;
  const digest = createHash("sha256").update(`${sample.seed}\n${key}`).digest();
  return digest.readUIntBE(0, 6) / 2 ** 48 < sample.share;
}
