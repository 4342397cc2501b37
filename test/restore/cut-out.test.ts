import fc from "fast-check";
import { expect, test } from "vitest";
import { timelineId } from "../../src/postgres/timeline.ts";
import { cutOut } from "../../src/restore/cut-out.ts";
import type { WalHole } from "../../src/restore/wal-holes.ts";

const range = fc
  .tuple(fc.constantFrom(1, 2), fc.integer({ min: 0, max: 30 }), fc.integer({ min: 0, max: 6 }))
  .map(([timeline, first, more]): WalHole => {
    return { timeline: timelineId(timeline), first: BigInt(first), last: BigInt(first + more) };
  });

const segmentsOf = (holes: readonly WalHole[]): readonly string[] =>
  holes.flatMap(({ timeline, first, last }) =>
    Array.from({ length: Number(last - first + 1n) }, (_, index) => `${timeline}/${first + BigInt(index)}`),
  );

/** Some segments as holes that do not touch, in order. */
function asHoles(segments: ReadonlySet<string>): readonly WalHole[] {
  const holes: WalHole[] = [];
  for (const timeline of [1, 2].map(timelineId)) {
    for (let segment = 0n; segment <= 40n; segment++) {
      const before = holes.at(-1);
      if (!segments.has(`${timeline}/${segment}`)) continue;
      if (before?.timeline === timeline && before.last + 1n === segment) {
        holes[holes.length - 1] = { ...before, last: segment };
      } else holes.push({ timeline, first: segment, last: segment });
    }
  }
  return holes;
}

test("what is left are the segments that are in no part, in order and without overlap", () => {
  fc.assert(
    fc.property(fc.array(range, { maxLength: 6 }), fc.array(range, { maxLength: 8 }), (some, parts) => {
      const holes = asHoles(new Set(segmentsOf(some)));
      const cut = new Set(segmentsOf(parts));
      const left = segmentsOf(holes).filter((segment) => !cut.has(segment));
      expect(cutOut(holes, parts)).toEqual(asHoles(new Set(left)));
    }),
  );
});
