import { describe, expect, test } from "vitest";
import { formatLsn } from "../../src/postgres/lsn.ts";
import { timelineId } from "../../src/postgres/timeline.ts";
import type { Catalog, CatalogPart } from "../../src/repository/catalog.ts";
import { asIfWhole, LossJudge } from "../../src/restore/lost-moments.ts";
import { recoveryWindow } from "../../src/restore/recovery-window.ts";
import { findWalHoles } from "../../src/restore/wal-holes.ts";
import { buildCatalog, clock } from "./archive-builder.ts";

const first = { label: "first", start: 2.25, stop: 2.5 };
const second = { label: "second", start: 8.25, stop: 8.5 };
const one = { wal: { 1: "1-11" }, backups: [first, second] };
const two = {
  histories: { 2: [[1, 5.5]] },
  wal: { 1: "1-8", 2: "5-11" },
  backups: [first, { ...second, timeline: 2 }],
} as const;

const backup = (label: string): CatalogPart => ({ kind: "backup", label });
const segments = (timeline: number, from: number, to = from): CatalogPart => ({
  kind: "segments",
  timeline: timelineId(timeline),
  first: BigInt(from),
  last: BigInt(to),
});
const history = (timeline: number): CatalogPart => ({ kind: "history", timeline: timelineId(timeline) });

/** The labels that are lost, then "1 0/2800000..0/4FFFFFF" for each stretch. */
function lost(catalog: Catalog, parts: readonly CatalogPart[]): readonly string[] {
  const { backups, moments } = new LossJudge(catalog, () => undefined).lossOf(parts);
  const stretches = moments.map(({ timeline, from, to }) => `${timeline} ${formatLsn(from.lsn)}..${formatLsn(to.lsn)}`);
  return [...backups, ...stretches];
}

describe("what is lost", () => {
  test.each([
    ["nothing, without faults", one, [], []],
    ["a backup alone, where an older one leads to its moments", one, [backup("second")], ["second"]],
    ["the moments up to the next backup", one, [backup("first")], ["first", "1 0/2800000..0/87FFFFF"]],
    ["everything", one, [backup("first"), backup("second")], ["first", "second", "1 0/2800000..0/BFFFFFF"]],
    ["the moments from a segment up to the next backup", one, [segments(1, 5)], ["1 0/5000000..0/87FFFFF"]],
    ["the moments from a segment to the end", one, [segments(1, 10)], ["1 0/A000000..0/BFFFFFF"]],
    ["a backup with its segment", one, [segments(1, 2)], ["first", "1 0/2800000..0/87FFFFF"]],
    ["nothing, by a segment that nobody needs", one, [segments(1, 1)], []],
    [
      "moments of every timeline that a segment leads to",
      two,
      [segments(1, 3)],
      ["1 0/3000000..0/8FFFFFF", "2 0/3000000..0/87FFFFF"],
    ],
    ["moments of the one timeline that goes on there", two, [segments(1, 7, 8)], ["1 0/7000000..0/8FFFFFF"]],
    ["the way from one timeline to the next", two, [history(2)], ["2 0/2800000..0/87FFFFF"]],
    [
      "once, what several faults take",
      one,
      [segments(1, 5), segments(1, 4), segments(1, 6, 7)],
      ["1 0/4000000..0/87FFFFF"],
    ],
  ] as const)("is %s", (_title, spec, parts, expected) => {
    expect(lost(buildCatalog(spec), parts)).toEqual(expected);
  });

  test("has the times that are known of the moments beside it", () => {
    const archivedAt = (timeline: number, segment: bigint): Date => clock(timeline + Number(segment));
    const [stretch] = new LossJudge(buildCatalog(one), archivedAt).lossOf([segments(1, 5)]).moments;
    expect(stretch?.from.time).toEqual(clock(5));
    expect(stretch?.to.time).toEqual(new Date(clock(8.5).getTime() + 1));
  });

  test("claims no time of what can be restored before it, where nobody knows when that was archived", () => {
    const [stretch] = new LossJudge(buildCatalog(one), () => undefined).lossOf([segments(1, 5)]).moments;
    expect(stretch?.from.time).toBeUndefined();
  });
});

describe("an archive as if it were whole", () => {
  test("has no holes, and the window that it would have", () => {
    const whole = buildCatalog(one);
    const holed = buildCatalog({ ...one, wal: { 1: "1-3 6-7 10-11" } });
    const filled = asIfWhole(holed, findWalHoles(holed), []);
    expect(findWalHoles(filled)).toEqual([]);
    expect(filled.wal).toEqual(whole.wal);
    expect(recoveryWindow(filled)).toEqual(recoveryWindow(whole));
  });

  test("has for a lost history what a younger one repeats of it", () => {
    const histories = {
      2: [[1, 5.5]],
      3: [
        [1, 5.5],
        [2, 9.5],
      ],
    } as const;
    const catalog = buildCatalog({ ...two, histories, wal: { ...two.wal, 3: "9-12" } });
    const known = new Map([...catalog.histories].filter(([timeline]) => timeline !== 2));
    const whole = asIfWhole({ ...catalog, histories: known }, [], [timelineId(2)]);
    expect(recoveryWindow(whole)).toEqual(recoveryWindow(catalog));
  });

  test("has for the youngest timeline's what its WAL shows, to the segment", () => {
    const catalog = buildCatalog(two);
    const whole = asIfWhole({ ...catalog, histories: new Map() }, [], [timelineId(2)]);
    expect(recoveryWindow(whole)).toEqual(recoveryWindow(catalog));
  });
});
