import fc from "fast-check";
import { expect, test } from "vitest";
import { lsn } from "../../src/postgres/lsn.ts";
import { timelineId } from "../../src/postgres/timeline.ts";
import { earliestEndAfter, latestStartUpTo, pathClocks } from "../../src/restore/path-clocks.ts";
import type { Candidate } from "../../src/restore/select-backup.ts";
import { buildBackup, MIB } from "./archive-builder.ts";

const run = { end: lsn(0n), pieces: [], missing: { timeline: timelineId(1), number: 0n }, archivedAt: undefined };

const candidate = fc
  .record({
    start: fc.integer({ min: 0, max: 12 }),
    length: fc.integer({ min: 1, max: 4 }),
    startClock: fc.integer({ min: 0, max: 20 }),
    earliestTime: fc.integer({ min: 0, max: 1000 }),
    source: fc.constantFrom("primary" as const, "standby" as const),
  })
  .map(({ start, length, startClock, earliestTime, source }): Candidate => {
    const spec = { label: "x", start, stop: start + length, startClock, source };
    return { backup: buildBackup(spec, 16 * MIB), earliestTime, run: { ...run, strays: undefined } };
  });

test("they say what a look at every backup would say, in whatever order the backups come", () => {
  fc.assert(
    fc.property(fc.array(candidate, { maxLength: 8 }), fc.integer({ min: 0, max: 17 }), (candidates, position) => {
      const end = lsn(BigInt(position * 16 * MIB));
      const clocks = pathClocks(candidates);
      const starts = candidates.filter(({ backup }) => backup.source === "primary" && backup.startLsn <= end);
      const ends = candidates.filter(({ backup }) => backup.stopLsn > end);
      const latest = Math.max(...starts.map(({ backup }) => backup.startTime.getTime()));
      const earliest = Math.min(...ends.map(({ earliestTime }) => earliestTime));
      expect(latestStartUpTo(clocks, end)).toBe(starts.length === 0 ? undefined : latest);
      expect(earliestEndAfter(clocks, end)).toBe(ends.length === 0 ? undefined : earliest);
    }),
  );
});
