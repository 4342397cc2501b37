import { describe, expect, test } from "vitest";
import { formatLsn } from "../../src/postgres/lsn.ts";
import type { Catalog } from "../../src/repository/catalog.ts";
import { recoveryWindow } from "../../src/restore/recovery-window.ts";
import { buildCatalog, clock } from "./archive-builder.ts";

/** "1 first 0/2E66666..0/5FFFFFF" */
function lines(catalog: Catalog): readonly string[] {
  return recoveryWindow(catalog).map(
    ({ timeline, backup, from, to }) => `${timeline} ${backup} ${formatLsn(from.lsn)}..${formatLsn(to.lsn)}`,
  );
}

const first = { label: "first", start: 2.25, stop: 2.5 };
const second = { label: "second", start: 8.25, stop: 8.5 };

describe("recoveryWindow", () => {
  test.each([
    ["is empty without backups", { 1: "1-9" }, [], []],
    ["is empty when a backup lacks its own WAL", { 1: "3-9" }, [first], []],
    [
      "goes from the first backup's end to the last byte",
      { 1: "1-9" },
      [first, second],
      ["1 first 0/2800000..0/9FFFFFF"],
    ],
    [
      "is cut by a hole until the next backup ends",
      { 1: "1-4 6-9" },
      [first, second],
      ["1 first 0/2800000..0/4FFFFFF", "1 second 0/8800000..0/9FFFFFF"],
    ],
    [
      "does not begin again behind a hole without a backup",
      { 1: "1-4 6-9" },
      [first],
      ["1 first 0/2800000..0/4FFFFFF"],
    ],
    [
      "is one point when WAL ends with the backup",
      { 1: "2" },
      [{ label: "edge", start: 2.25, stop: 3 }],
      ["1 edge 0/3000000..0/3000000"],
    ],
  ] as const)("%s", (_title, wal, backups, expected) => {
    expect(lines(buildCatalog({ wal, backups }))).toEqual(expected);
  });

  test("has an interval for every branch, from the backup that leads to it", () => {
    const catalog = buildCatalog({
      histories: { 2: [[1, 5.5]], 3: [[1, 7.5]] },
      wal: { 1: "1-8", 2: "5-9", 3: "7-11" },
      backups: [first, { label: "late", start: 6.25, stop: 6.5 }],
    });
    expect(lines(catalog)).toEqual([
      "1 first 0/2800000..0/8FFFFFF",
      "2 first 0/2800000..0/9FFFFFF",
      "3 first 0/2800000..0/BFFFFFF",
    ]);
  });

  test("ends before the switch point, without a time, where the next timeline's beginning is missing", () => {
    const catalog = buildCatalog({ histories: { 2: [[1, 5.5]] }, wal: { 1: "1-8", 2: "6-9" }, backups: [first] });
    const [, towardsTwo] = recoveryWindow(catalog);
    expect(lines(catalog)[1]).toBe("2 first 0/2800000..0/57FFFFF");
    expect([towardsTwo?.from.time, towardsTwo?.to.time]).toEqual([undefined, undefined]);
  });

  test("gives the time past the backup's end and the time when the last segment was archived", () => {
    const [interval] = recoveryWindow(buildCatalog({ wal: { 1: "1-9" }, backups: [first] }));
    expect(interval?.from.time).toEqual(new Date(clock(2.5).getTime() + 1));
    expect(interval?.to.time).toEqual(clock(10));
  });

  test("ends in time before a backup that ended behind the hole", () => {
    const catalog = buildCatalog({ wal: { 1: "1-4 6-9" }, backups: [first, second] });
    const late = { ...catalog, wal: catalog.wal.map((interval) => ({ ...interval, archivedAt: clock(20) })) };
    expect(recoveryWindow(late).map(({ to }) => to.time)).toEqual([clock(8.5), clock(20)]);
  });

  test("names no times that contradict each other", () => {
    const catalog = buildCatalog({ wal: { 1: "1-9" }, backups: [{ ...first, startClock: 30, stopClock: 31 }] });
    const ahead = { ...catalog, backups: catalog.backups.map((backup) => ({ ...backup, source: "standby" as const })) };
    expect(recoveryWindow(ahead)).toMatchObject([{ from: { time: undefined }, to: { time: undefined } }]);
  });
});
