import { describe, expect, test } from "vitest";
import { timelineId } from "../../src/postgres/timeline.ts";
import type { Catalog } from "../../src/repository/catalog.ts";
import { planRecovery } from "../../src/restore/plan-recovery.ts";
import type {
  RecoveryPlan,
  RecoveryRefusal,
  RecoveryRequest,
  RecoveryTarget,
} from "../../src/restore/recovery-plan.ts";
import { at, buildCatalog, clock, MIB } from "./archive-builder.ts";
import type { ArchiveSpec } from "./archive-builder.ts";

const latest: RecoveryTarget = { kind: "latest" };
const immediate: RecoveryTarget = { kind: "immediate" };
const name: RecoveryTarget = { kind: "name", name: "before upgrade" };
const xid: RecoveryTarget = { kind: "xid", xid: "1234", inclusive: true };

function toTime(position: number): RecoveryTarget {
  const time = clock(position);
  return { kind: "time", time, text: time.toISOString(), inclusive: true };
}

function toLsn(position: number, segmentSize?: number): RecoveryTarget {
  return { kind: "lsn", lsn: at(position, segmentSize), inclusive: true };
}

interface Ask {
  readonly to: RecoveryTarget;
  readonly timeline?: number | "latest" | "current";
  readonly backup?: string;
}

function request({ to, timeline = "latest", backup }: Ask): RecoveryRequest {
  return { target: to, timeline: typeof timeline === "number" ? timelineId(timeline) : timeline, backup };
}

function plan(catalog: Catalog, ask: Ask): RecoveryPlan {
  const answer = planRecovery(catalog, request(ask));
  if (answer.kind === "refusal") throw new Error(`refused: ${answer.reason}: ${answer.message}`);
  return answer;
}

function refusal(catalog: Catalog, ask: Ask): RecoveryRefusal {
  const answer = planRecovery(catalog, request(ask));
  if (answer.kind === "plan") throw new Error(`planned from ${answer.backup.label}`);
  return answer;
}

/** "1:3-7 2:8-9" */
function walOf({ wal }: RecoveryPlan): string {
  return wal.map(({ timeline, first, last }) => `${timeline}:${first}-${last}`).join(" ");
}

// A backup a day on one timeline, WAL without a hole.
const plain: ArchiveSpec = {
  wal: { 1: "2-20" },
  backups: [
    { label: "first", start: 2.1, stop: 2.9 },
    { label: "second", start: 8.1, stop: 9.5 },
  ],
};

// Promoted in the middle of segment 10; the old primary went on to segment 14, with a backup there.
const promoted: ArchiveSpec = {
  histories: { 2: [[1, 10.5]] },
  wal: { 1: "2-14", 2: "10-18" },
  backups: [
    { label: "before", start: 3.1, stop: 3.9 },
    { label: "abandoned", start: 12.1, stop: 12.9 },
    { label: "after", timeline: 2, start: 15.1, stop: 15.9 },
  ],
};

// 1 -> 2 -> 3, then 4 is a point-in-time recovery that left 2 before 3 did: 3 is the second abandoned generation.
const twoGenerations: ArchiveSpec = {
  histories: {
    2: [[1, 5.5]],
    3: [
      [1, 5.5],
      [2, 12.5],
    ],
    4: [
      [1, 5.5],
      [2, 8.25],
    ],
  },
  wal: { 1: "2-7", 2: "5-14", 3: "12-16", 4: "8-11" },
  backups: [
    { label: "one", start: 2.1, stop: 2.9 },
    { label: "one late", start: 6.1, stop: 6.9, startClock: 6.2, stopClock: 6.9 },
    { label: "two", timeline: 2, start: 7.1, stop: 7.9 },
    { label: "two late", timeline: 2, start: 9.1, stop: 9.9 },
    { label: "three", timeline: 3, start: 13.1, stop: 13.9 },
  ],
};

describe("planRecovery on one timeline", () => {
  const cases: readonly [title: string, to: RecoveryTarget, backup: string, wal: string][] = [
    ["takes the newest backup and all WAL for latest", latest, "second", "1:8-20"],
    ["needs no more than the backup's own WAL for immediate", immediate, "second", "1:8-9"],
    ["takes the newest backup that ends before a time", toTime(7), "first", "1:2-8"],
    ["uses an older backup when the time is inside the newest", toTime(9), "first", "1:2-20"],
    ["goes to the end of WAL for a time that no later backup bounds", toTime(15), "second", "1:8-20"],
    ["takes the backup that ends right at an LSN", toLsn(9.5), "second", "1:8-9"],
    ["uses an older backup when the LSN is inside the newest", toLsn(9.4), "first", "1:2-9"],
    ["reads the segment that begins at an LSN on its boundary", toLsn(12), "second", "1:8-12"],
    ["searches all WAL after the newest backup for a transaction", xid, "second", "1:8-20"],
    ["searches all WAL after the newest backup for a restore point", name, "second", "1:8-20"],
  ];
  test.each(cases)("%s", (_title, to, backup, wal) => {
    const answer = plan(buildCatalog(plain), { to });
    expect([answer.backup.label, walOf(answer), answer.path]).toEqual([backup, wal, [1]]);
  });

  test("counts segments and bytes", () => {
    const answer = plan(buildCatalog(plain), { to: latest });
    expect([answer.segments, answer.bytes, answer.timeline]).toEqual([13, 30_000_000, 1]);
  });

  test("an exclusive LSN needs the same WAL, for its record must be read to be left out", () => {
    const target: RecoveryTarget = { kind: "lsn", lsn: at(12), inclusive: false };
    expect(walOf(plan(buildCatalog(plain), { to: target }))).toBe("1:8-12");
  });

  test.each([MIB, 64 * MIB])("counts in the archive's segment size (%i bytes)", (segmentSize) => {
    const catalog = buildCatalog({ ...plain, segmentSize, wal: { 1: "2-20 22-30" } });
    expect(walOf(plan(catalog, { to: toLsn(9.75, segmentSize) }))).toBe("1:8-9");
    expect(refusal(catalog, { to: latest }).missingSegment).toBe("000000010000000000000015");
  });

  test.each([
    [MIB, 4090, "000000010000000100000003"],
    [64 * MIB, 58, "000000010000000100000003"],
  ])("names segments beyond a change of the middle digits (%i bytes)", (segmentSize, first, missing) => {
    const backups = [{ label: "far", start: first + 0.5, stop: first + 0.75 }];
    const perLog = 2 ** 32 / segmentSize;
    const wal = { 1: `${first}-${perLog + 2} ${perLog + 4}-${perLog + 9}` };
    expect(refusal(buildCatalog({ segmentSize, wal, backups }), { to: latest }).missingSegment).toBe(missing);
  });

  test("takes the time of a backup's end as reached only when it is surely past", () => {
    const catalog = buildCatalog(plain);
    const stop = clock(9.5).getTime();
    const target = (time: number): RecoveryTarget => ({
      kind: "time",
      time: new Date(time),
      text: "",
      inclusive: true,
    });
    expect(plan(catalog, { to: target(stop) }).backup.label).toBe("first");
    expect(plan(catalog, { to: target(stop + 1) }).backup.label).toBe("second");
  });

  test("an end time in whole seconds may have been cut off and counts as the next second", () => {
    const catalog = buildCatalog(plain);
    const stopTime = new Date(Math.floor(clock(9.5).getTime() / 1000) * 1000);
    const whole = { ...catalog, backups: catalog.backups.map((b) => (b.label === "second" ? { ...b, stopTime } : b)) };
    const target = (time: number): RecoveryTarget => ({
      kind: "time",
      time: new Date(time),
      text: "",
      inclusive: true,
    });
    expect(plan(whole, { to: target(stopTime.getTime() + 999) }).backup.label).toBe("first");
    expect(plan(whole, { to: target(stopTime.getTime() + 1000) }).backup.label).toBe("second");
  });

  test("says which backup a target lies inside", () => {
    expect(plan(buildCatalog(plain), { to: toLsn(9.4) }).skipped).toEqual([
      { label: "second", reason: expect.stringContaining("the target lies inside it (0/819999A to 0/9800000)") },
    ]);
  });

  test("a later primary's backup proves WAL up to a time, a standby's does not", () => {
    const catalog = (source: "primary" | "standby"): Catalog =>
      buildCatalog({ ...plain, backups: plain.backups.map((backup) => ({ ...backup, source })) });
    expect(plan(catalog("primary"), { to: toTime(7) }).proven.join()).toContain("all WAL up to the target is there");
    expect(plan(catalog("standby"), { to: toTime(7) }).proven.join()).not.toContain(
      "all WAL up to the target is there",
    );
    expect(plan(catalog("standby"), { to: toTime(7) }).unproven.join()).toContain("the standby's clock");
    expect(walOf(plan(catalog("standby"), { to: toTime(7) }))).toBe("1:2-20");
  });

  test("a standby's backup that began late says nothing of WAL at its older start position", () => {
    const late = { label: "late", start: 9.25, stop: 9.75, startClock: 25, stopClock: 26 };
    const catalog = (source: "primary" | "standby"): Catalog =>
      buildCatalog({
        wal: { 1: "2-10" },
        backups: [
          { label: "first", start: 2.25, stop: 2.5 },
          { ...late, source },
        ],
      });
    expect(refusal(catalog("standby"), { to: toTime(20) }).reason).toBe("after-window");
    expect(plan(catalog("primary"), { to: toTime(20) }).backup.label).toBe("first");
  });

  test("says what replay alone can tell", () => {
    const catalog = buildCatalog(plain);
    expect(plan(catalog, { to: toTime(15) }).unproven.join()).toContain("whether a transaction ended after the target");
    expect(plan(catalog, { to: toTime(15) }).unproven.join()).toContain("whether the WAL reaches the target");
    expect(plan(catalog, { to: xid }).unproven.join()).toContain("whether transaction 1234 ended between 0/9800000");
    expect(plan(catalog, { to: name }).unproven.join()).toContain('restore point "before upgrade" was made between');
    expect(plan(catalog, { to: toLsn(20.5) }).unproven.join()).toContain("whether a record begins between 0/14800000");
    expect(plan(catalog, { to: toLsn(15.5) }).unproven).toHaveLength(1);
  });
});

describe("planRecovery refuses", () => {
  const catalog = buildCatalog(plain);

  test("without any backup", () => {
    expect(refusal(buildCatalog({ wal: { 1: "1-5" }, backups: [] }), { to: latest })).toMatchObject({
      reason: "no-backup",
      window: [],
    });
  });

  test("a backup that does not exist", () => {
    expect(refusal(catalog, { to: latest, backup: "third" })).toMatchObject({
      reason: "unknown-backup",
      hint: expect.stringContaining("the newest is second"),
    });
  });

  test("a timeline that does not exist", () => {
    expect(refusal(buildCatalog(promoted), { to: latest, timeline: 7 })).toMatchObject({
      reason: "unknown-timeline",
      hint: "--timeline takes latest, current or one of 1, 2",
    });
  });

  test("a target before the end of the first backup, and names the first moment", () => {
    for (const to of [toLsn(1.5), toTime(1.5)]) {
      expect(refusal(catalog, { to })).toMatchObject({
        reason: "before-window",
        message: expect.stringContaining("before the end of the first backup, first, at 0/2E66666"),
        before: undefined,
        after: { timeline: 1, lsn: at(2.9), time: new Date(clock(2.9).getTime() + 1) },
      });
    }
  });

  test("a target inside the only backup, and says so", () => {
    for (const to of [toLsn(2.5), toTime(2.5)]) {
      expect(refusal(catalog, { to })).toMatchObject({
        reason: "before-window",
        message: expect.stringContaining("the target lies inside backup first"),
        skipped: [{ label: "first" }],
      });
    }
  });

  test("a target after the end of WAL, and offers a moment that is sure and latest", () => {
    for (const to of [toLsn(21), toLsn(30), toTime(21.5)]) {
      expect(refusal(catalog, { to })).toMatchObject({
        reason: "after-window",
        missingSegment: undefined,
        before: { timeline: 1, lsn: at(20), time: clock(21) },
        after: undefined,
        hint: expect.stringContaining("--to latest"),
      });
    }
  });

  test("a named backup that ends after the target", () => {
    expect(refusal(catalog, { to: toLsn(7), backup: "second" })).toMatchObject({
      reason: "backup-too-late",
      hint: expect.stringContaining("--backup"),
    });
    expect(refusal(catalog, { to: toTime(9), backup: "second" }).message).toContain("the target lies inside it");
  });

  test("always with the whole window", () => {
    expect(refusal(catalog, { to: toLsn(30) }).window).toEqual([
      {
        timeline: 1,
        from: { timeline: 1, lsn: at(2.9), time: new Date(clock(2.9).getTime() + 1) },
        to: { timeline: 1, lsn: at(21) - 1n, time: clock(21) },
        backup: "first",
      },
    ]);
  });
});

describe("planRecovery and holes", () => {
  function withWal(wal: string): Catalog {
    return buildCatalog({ ...plain, wal: { 1: wal } });
  }

  test.each([
    ["its first segment", "2-7 9-20"],
    ["its last segment", "2-8 10-20"],
  ])("a backup that lacks %s is passed over, and the target behind the hole refused", (_title, wal) => {
    const catalog = withWal(wal);
    const missing = wal === "2-7 9-20" ? "000000010000000000000008" : "000000010000000000000009";
    for (const to of [latest, toLsn(15), toTime(15)]) {
      const answer = refusal(catalog, { to });
      expect(answer).toMatchObject({ reason: "wal-missing", missingSegment: missing, after: undefined });
      expect(answer.message).toContain("backup second cannot be restored");
      expect(answer.before?.timeline).toBe(1);
      expect(answer.skipped.map(({ label }) => label)).toEqual(["second", "first"]);
    }
    expect(plan(catalog, { to: immediate })).toMatchObject({
      backup: { label: "first" },
      skipped: [{ label: "second" }],
    });
  });

  test("a hole in the middle refuses what lies behind it and names the moments on both sides", () => {
    const catalog = withWal("2-5 7-20");
    const answer = refusal(catalog, { to: toLsn(6.5) });
    expect(answer).toMatchObject({
      reason: "wal-missing",
      missingSegment: "000000010000000000000006",
      before: { timeline: 1, lsn: at(5) },
      after: { timeline: 1, lsn: at(9.5) },
    });
    expect(answer.hint).toContain("--timeline 1 --to lsn:0/5000000");
    expect(refusal(catalog, { to: toLsn(7.5) })).toMatchObject({ reason: "wal-missing", after: { lsn: at(9.5) } });
    expect(refusal(catalog, { to: toTime(7.5) })).toMatchObject({ reason: "wal-missing", before: { time: clock(6) } });
    expect(plan(catalog, { to: latest }).backup.label).toBe("second");
  });

  test("a hole after the newest backup refuses latest, which would silently end early", () => {
    expect(refusal(withWal("2-15 17-20"), { to: latest })).toMatchObject({
      reason: "wal-missing",
      missingSegment: "000000010000000000000010",
      before: { lsn: at(15), time: clock(16) },
      after: undefined,
    });
  });

  test("before a hole a time plans, with the doubt said", () => {
    const answer = plan(withWal("2-15 17-20"), { to: toTime(15.5) });
    expect(walOf(answer)).toBe("1:8-15");
    expect(answer.unproven.join()).toContain("segment 000000010000000000000010 is missing, but WAL goes on after it");
  });

  test("before a hole a transaction is looked for, with the doubt said", () => {
    expect(plan(withWal("2-15 17-20"), { to: xid }).unproven.join()).toContain("000000010000000000000010 is missing");
  });

  test("a backup that ended before the target, behind the hole, shows that the target lies there too", () => {
    // segment 5 was archived long after its time: only the second backup tells that the target is not in it
    const late = withWal("2-5 7-20");
    const wal = late.wal.map((interval) => (interval.last === 5n ? { ...interval, archivedAt: clock(18) } : interval));
    const answer = refusal({ ...late, wal }, { to: toTime(12), backup: "first" });
    expect(answer.reason).toBe("wal-missing");
    expect(answer.hint).toContain("without --backup the target can be reached, from backup second");
  });

  test("a long backup with a hole gives way to a shorter one that lies inside its span", () => {
    const catalog = buildCatalog({
      wal: { 1: "2-3 5-20" },
      backups: [
        { label: "long", start: 2.5, stop: 10.5 },
        { label: "short", start: 6.5, stop: 7.5 },
      ],
    });
    for (const to of [latest, toLsn(12), toTime(12), xid]) {
      expect(plan(catalog, { to })).toMatchObject({ backup: { label: "short" }, skipped: [{ label: "long" }] });
    }
  });

  test("a partial segment does not count, and is named", () => {
    const catalog = buildCatalog({ ...plain, wal: { 1: "2-15 17-20" }, partials: [[1, 16]] });
    expect(refusal(catalog, { to: latest }).message).toContain("000000010000000000000010.partial is there, but");
    const atEnd = buildCatalog({ ...plain, partials: [[1, 21]] });
    expect(plan(atEnd, { to: latest }).unproven.join()).toContain("000000010000000000000015.partial");
    expect(refusal(atEnd, { to: toLsn(21.2) }).reason).toBe("after-window");
  });

  test("a backup of another segment size is not used", () => {
    const backups = [...plain.backups, { label: "resized", start: 15.1, stop: 15.9, segmentSize: MIB }];
    expect(plan(buildCatalog({ ...plain, backups }), { to: latest })).toMatchObject({
      backup: { label: "second" },
      skipped: [{ label: "resized", reason: expect.stringContaining("1048576 bytes") }],
    });
  });
});

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
