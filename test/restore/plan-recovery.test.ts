import { describe, expect, test } from "vitest";
import { at, buildCatalog, clock, MIB } from "./archive-builder.ts";
import type { Catalog } from "../../src/repository/catalog.ts";
import type { RecoveryTarget } from "../../src/restore/recovery-plan.ts";
import { latest, immediate, name, xid, toTime, toLsn, plan, refusal, walOf, plain, promoted } from "./planner-cases.ts";

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
