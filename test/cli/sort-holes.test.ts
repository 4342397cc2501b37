import { expect, test } from "vitest";
import { timelineId } from "../../src/postgres/timeline.ts";
import type { AcknowledgedHole } from "../../src/repository/acknowledged-holes.ts";
import type { RetentionPolicy } from "../../src/retention/policy.ts";
import { sortHoles } from "../../src/cli/sort-holes.ts";
import { buildCatalog, clock } from "../restore/archive-builder.ts";

const backups = [
  { label: "first", start: 2.25, stop: 2.5 },
  { label: "second", start: 12.25, stop: 12.5 },
];
const catalog = buildCatalog({ wal: { 1: "2-3 6-7 11-15" }, backups });

function known(first: number, last: number): AcknowledgedHole {
  return {
    timeline: timelineId(1),
    first: BigInt(first),
    last: BigInt(last),
    reason: "",
    acknowledged: clock(0),
    host: "db1",
  };
}

function sorted(policy: RetentionPolicy, acknowledged: readonly AcknowledgedHole[]): Record<string, readonly string[]> {
  const holes = sortHoles({ catalog, pins: [], running: [], now: clock(16) }, policy, acknowledged);
  return Object.fromEntries(
    Object.entries(holes).map(([kind, list]) => [
      kind,
      (list as typeof holes.needed).map(({ first, last }) => `${first}-${last}`),
    ]),
  );
}

test("without a policy and without a word from anybody, all missing WAL is needed", () => {
  expect(sorted({}, [])).toEqual({ needed: ["4-5", "8-10"], acknowledged: [], expired: [] });
});

test("what somebody knows to be missing is told apart, segment by segment", () => {
  expect(sorted({}, [known(1, 5), known(9, 9)])).toEqual({
    needed: ["8-8", "10-10"],
    acknowledged: ["4-5", "9-9"],
    expired: [],
  });
});

test("what the policy would let go is no loss; what it promises is", () => {
  const empty = { needed: [], acknowledged: [], expired: [] };
  expect(sorted({ keepLast: 1 }, [])).toEqual({ ...empty, expired: ["4-5", "8-10"] });
  expect(sorted({ keepLast: 2 }, [])).toEqual({ ...empty, needed: ["4-5", "8-10"] });
  // The older backup stays by itself, for its month: with WAL from its start to its stop, and no more.
  expect(sorted({ keepLast: 1, keepMonthly: 3 }, [known(4, 5)])).toEqual({
    ...empty,
    acknowledged: ["4-5"],
    expired: ["8-10"],
  });
});
