import { describe, expect, test } from "vitest";
import { buildCatalog } from "./archive-builder.ts";
import {
  latest,
  immediate,
  name,
  xid,
  toTime,
  toLsn,
  plan,
  refusal,
  walOf,
  promoted,
  twoGenerations,
} from "./planner-cases.ts";
import type { Ask } from "./planner-cases.ts";

describe("planRecovery across a promotion", () => {
  const catalog = buildCatalog(promoted);

  const cases: readonly [title: string, ask: Ask, backup: string, wal: string, path: readonly number[]][] = [
    ["latest stays on the newest timeline", { to: latest }, "after", "2:15-18", [2]],
    ["a target before the newest backup crosses over", { to: toLsn(14.5) }, "before", "1:3-9 2:10-14", [1, 2]],
    ["the child's copy of the switch segment is read", { to: toLsn(10.2) }, "before", "1:3-9 2:10-10", [1, 2]],
    ["a target before the switch segment needs the parent alone", { to: toLsn(9.5) }, "before", "1:3-9", [1]],
    ["the abandoned branch is there for who asks for it", { to: latest, timeline: 1 }, "abandoned", "1:12-14", [1]],
    ["current is the newest backup's own timeline", { to: latest, timeline: "current" }, "after", "2:15-18", [2]],
    [
      "current is the named backup's own timeline",
      { to: latest, timeline: "current", backup: "before" },
      "before",
      "1:3-14",
      [1],
    ],
    [
      "current is the timeline of the newest backup before the target",
      { to: toTime(13.5), timeline: "current" },
      "abandoned",
      "1:12-14",
      [1],
    ],
    ["a named older backup crosses over", { to: latest, backup: "before" }, "before", "1:3-9 2:10-18", [1, 2]],
  ];
  test.each(cases)("%s", (_title, ask, backup, wal, path) => {
    const answer = plan(catalog, ask);
    expect([answer.backup.label, walOf(answer), answer.path]).toEqual([backup, wal, path]);
  });

  test("a newer backup on the abandoned branch is skipped with a reason", () => {
    const answer = plan(catalog, { to: toLsn(14.5) });
    expect(answer.timeline).toBe(2);
    expect(answer.skipped).toEqual([
      {
        label: "abandoned",
        reason: "it ends at 0/CE66666, after timeline 1 had been left at 0/A800000 on the way to timeline 2",
      },
    ]);
    expect(answer.proven.join()).toContain("timeline 1 is left at 0/A800000");
  });

  test("a named backup on the abandoned branch is refused with where it was left", () => {
    expect(refusal(catalog, { to: latest, backup: "abandoned" })).toMatchObject({
      reason: "timeline-unreachable",
      message: expect.stringContaining("after timeline 1 had been left at 0/A800000"),
      hint: expect.stringContaining("--timeline 1"),
    });
  });

  test("a backup that ends right at the switch point lies on the way", () => {
    const backups = [{ label: "edge", start: 9.1, stop: 10.5 }];
    expect(walOf(plan(buildCatalog({ ...promoted, backups }), { to: latest }))).toBe("1:9-9 2:10-18");
  });

  test("the child's copy of the switch segment stands in for the parent's, of which only a partial is there", () => {
    const standby = buildCatalog({ ...promoted, wal: { 1: "2-9", 2: "10-18" }, partials: [[1, 10]] });
    expect(walOf(plan(standby, { to: toLsn(10.2) }))).toBe("1:3-9 2:10-10");
  });

  describe("when the child's copy of the switch segment is missing", () => {
    const broken = buildCatalog({ ...promoted, wal: { 1: "2-14", 2: "11-18" } });

    test("the parent's copy suffices for a target before the switch point", () => {
      const answer = plan(broken, { to: toLsn(10.4) });
      expect([walOf(answer), answer.path]).toEqual(["1:3-10", [1]]);
      expect(answer.unproven.join()).toContain("where the WAL of the next timeline is missing");
    });

    test.each([
      ["the switch point itself", toLsn(10.5)],
      ["a target behind it", toLsn(11.5)],
      ["a transaction, which might be met in the parent's own tail", xid],
      ["a restore point, likewise", name],
      ["a time that no backup places before it", toTime(9.8)],
    ])("PostgreSQL would go on into the parent's tail, so %s is refused", (_title, to) => {
      const answer = refusal(broken, { to, backup: "before" });
      expect(answer).toMatchObject({ reason: "wal-missing", missingSegment: "00000002000000000000000A" });
      expect(answer.hint).toContain("--timeline 1 follows timeline 1 itself");
    });

    test("a time plans when a later backup before the switch point places it", () => {
      const backups = [...promoted.backups, { label: "witness", start: 8.1, stop: 8.9 }];
      const answer = plan(buildCatalog({ ...promoted, backups, wal: { 1: "2-14", 2: "11-18" } }), { to: toTime(7) });
      expect([answer.backup.label, walOf(answer)]).toEqual(["before", "1:3-8"]);
    });

    test("latest is not affected when the newest backup lies behind it", () => {
      expect(plan(broken, { to: latest }).backup.label).toBe("after");
    });
  });

  test("on a segment boundary the child begins with a segment of its own", () => {
    const boundary = { ...promoted, histories: { 2: [[1, 10]] } } as const;
    expect(walOf(plan(buildCatalog(boundary), { to: latest, backup: "before" }))).toBe("1:3-9 2:10-18");
    const broken = buildCatalog({ ...boundary, wal: { 1: "2-14", 2: "11-18" } });
    expect(walOf(plan(broken, { to: toLsn(9.9) }))).toBe("1:3-9");
    expect(refusal(broken, { to: toLsn(10) })).toMatchObject({ missingSegment: "00000002000000000000000A" });
    expect(refusal(broken, { to: xid, backup: "before" }).reason).toBe("wal-missing");
  });

  test("a timeline that has a history but no WAL yet refuses latest and shows the parent's way", () => {
    const fresh = buildCatalog({ ...promoted, wal: { 1: "2-9" }, backups: promoted.backups.slice(0, 1) });
    for (const to of [latest, toTime(12), toLsn(10.7)]) {
      const answer = refusal(fresh, { to });
      expect(answer).toMatchObject({ reason: "wal-missing", missingSegment: "00000002000000000000000A" });
      expect(answer.message).toContain("timeline 2 has a history but no WAL in the archive");
      expect(answer.hint).toContain("--timeline 1 follows timeline 1 itself");
    }
    expect(walOf(plan(fresh, { to: toTime(8) }))).toBe("1:3-9");
    expect(walOf(plan(fresh, { to: latest, timeline: "current" }))).toBe("1:3-9");
  });

  test("a backup whose timeline has no WAL at all cannot be restored", () => {
    const catalogWithout = buildCatalog({ ...promoted, wal: { 1: "2-9" } });
    expect(refusal(catalogWithout, { to: immediate, backup: "after" })).toMatchObject({
      reason: "wal-missing",
      message: expect.stringContaining("backup after cannot be restored"),
      hint: expect.stringContaining("without --backup the target can be reached, from backup before"),
    });
  });
});

describe("planRecovery across abandoned branches", () => {
  const catalog = buildCatalog(twoGenerations);

  test("takes the newest backup on the way and says why the newer ones are not", () => {
    const answer = plan(catalog, { to: latest });
    expect([answer.backup.label, answer.timeline, walOf(answer), answer.path]).toEqual([
      "two",
      4,
      "2:7-7 4:8-11",
      [2, 4],
    ]);
    expect(answer.skipped).toEqual([
      {
        label: "three",
        reason:
          "it was taken on timeline 3, a branch that left timeline 2 at 0/C800000 and does not lead to timeline 4",
      },
      {
        label: "two late",
        reason: "it ends at 0/9E66666, after timeline 2 had been left at 0/8400000 on the way to timeline 4",
      },
    ]);
  });

  test.each([
    [3, "three", "3:13-16"],
    [2, "two late", "2:9-14"],
    [1, "one late", "1:6-7"],
  ])("every branch is there for who asks for it (timeline %i)", (timeline, backup, wal) => {
    const answer = plan(catalog, { to: latest, timeline });
    expect([answer.backup.label, walOf(answer)]).toEqual([backup, wal]);
  });

  test("replay passes through three timelines from the first backup", () => {
    const answer = plan(catalog, { to: toLsn(7.5) });
    expect([answer.backup.label, answer.path]).toEqual(["one", [1, 2]]);
    const all = plan(catalog, { to: latest, backup: "one" });
    expect([walOf(all), all.path]).toEqual(["1:2-4 2:5-7 4:8-11", [1, 2, 4]]);
  });

  test("an accidental promotion of an old copy is refused before anything is copied", () => {
    const accident = buildCatalog({ ...promoted, histories: { ...promoted.histories, 3: [[1, 3.5]] } });
    expect(refusal(accident, { to: latest })).toMatchObject({
      reason: "timeline-unreachable",
      message: expect.stringContaining(
        "no backup leads to timeline 3; the newest, after, does not: it was taken on timeline 2",
      ),
      hint: expect.stringContaining("--timeline current, or --timeline 2"),
    });
    expect(plan(accident, { to: latest, timeline: "current" }).backup.label).toBe("after");
  });

  test("two switches in one segment need the youngest copy alone", () => {
    const quick = buildCatalog({
      histories: {
        3: [
          [1, 5.2],
          [2, 5.6],
        ],
      },
      wal: { 1: "2-4", 3: "5-8" },
      backups: [{ label: "b", start: 2.1, stop: 2.9 }],
    });
    const answer = plan(quick, { to: latest });
    expect([walOf(answer), answer.path]).toEqual(["1:2-4 3:5-8", [1, 2, 3]]);
  });

  test("switch points that fall leave the timeline between them out", () => {
    // recovery towards timeline 2 ended before timeline 2 began, and became timeline 3
    const falling = buildCatalog({
      histories: {
        2: [[1, 9.5]],
        3: [
          [1, 9.5],
          [2, 5.5],
        ],
      },
      wal: { 1: "2-9", 2: "9-12", 3: "5-8" },
      backups: [
        { label: "early", start: 2.1, stop: 2.9 },
        { label: "middle", start: 6.1, stop: 6.9 },
        { label: "two", timeline: 2, start: 10.1, stop: 10.9 },
      ],
    });
    const answer = plan(falling, { to: latest });
    expect([answer.backup.label, walOf(answer), answer.path]).toEqual(["early", "1:2-4 3:5-8", [1, 3]]);
    expect(answer.skipped.map(({ label }) => label)).toEqual(["two", "middle"]);
  });
});

describe("planRecovery and missing histories", () => {
  const orphan = buildCatalog({
    wal: { 1: "2-9", 2: "9-12" },
    backups: [{ label: "old", start: 2.1, stop: 2.9 }],
  });

  test("a timeline without a history cannot be reached from another, and latest does not pass it over", () => {
    expect(refusal(orphan, { to: latest })).toMatchObject({
      reason: "timeline-unreachable",
      message: expect.stringContaining("its history 00000002.history is not in the archive"),
      hint: expect.stringContaining("--timeline current, or --timeline 1"),
    });
    expect(plan(orphan, { to: latest, timeline: 1 }).backup.label).toBe("old");
  });

  test("a backup on such a timeline is enough", () => {
    const late = buildCatalog({
      wal: { 3: "20-25" },
      backups: [{ label: "third life", timeline: 3, start: 20.1, stop: 20.9 }],
    });
    expect(walOf(plan(late, { to: latest }))).toBe("3:20-25");
  });

  test("an archive that begins on a later timeline with its history is ordinary", () => {
    const late = buildCatalog({
      histories: {
        3: [
          [1, 5.5],
          [2, 12.5],
        ],
      },
      wal: { 3: "20-25" },
      backups: [{ label: "third life", timeline: 3, start: 20.1, stop: 20.9 }],
    });
    const answer = plan(late, { to: toLsn(23.5) });
    expect([walOf(answer), answer.path]).toEqual(["3:20-23", [3]]);
  });

  test("a younger timeline's history does not stand in for a missing one, for PostgreSQL does not look there", () => {
    const gap = buildCatalog({
      histories: {
        3: [
          [1, 5.5],
          [2, 12.5],
        ],
      },
      wal: { 1: "2-5", 2: "5-12", 3: "12-16" },
      backups: [{ label: "b", start: 2.1, stop: 2.9 }],
    });
    expect(refusal(gap, { to: latest, timeline: 2 }).reason).toBe("timeline-unreachable");
    expect(walOf(plan(gap, { to: latest, timeline: 3 }))).toBe("1:2-4 2:5-11 3:12-16");
  });
});
