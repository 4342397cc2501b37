import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { lsn } from "../../src/postgres/lsn.ts";
import { parseRecoveryTarget, parseTargetTimeline } from "../../src/restore/recovery-target.ts";
import type { TargetOptions } from "../../src/restore/recovery-target.ts";

const now = new Date("2026-11-20T12:00:00Z");

function zone(name: string): (moment: Date) => number {
  const format = new Intl.DateTimeFormat("en", { timeZone: name, timeZoneName: "longOffset" });
  return (moment) => {
    const text = format.formatToParts(moment).find(({ type }) => type === "timeZoneName")?.value ?? "";
    const match = /([+-])(\d{2}):(\d{2})/.exec(text);
    if (match === null) return 0;
    return (Number(match[2]) * 60 + Number(match[3])) * (match[1] === "-" ? -1 : 1);
  };
}

const utc: TargetOptions = { exclusive: false, now, localOffset: () => 0 };
const berlin: TargetOptions = { ...utc, localOffset: zone("Europe/Berlin") };
const lordHowe: TargetOptions = { ...utc, localOffset: zone("Australia/Lord_Howe") };

describe("parseRecoveryTarget", () => {
  test.each([
    ["latest", { kind: "latest" }],
    ["immediate", { kind: "immediate" }],
    ["lsn:1A/2B3C4D5E", { kind: "lsn", lsn: lsn(0x1a2b3c4d5en), inclusive: true }],
    ["xid:1234", { kind: "xid", xid: "1234", inclusive: true }],
    ["xid:0010", { kind: "xid", xid: "10", inclusive: true }],
    ["xid:4294967300", { kind: "xid", xid: "4294967300", inclusive: true }],
    ["name:before upgrade", { kind: "name", name: "before upgrade" }],
    ["name:lsn:0/1", { kind: "name", name: "lsn:0/1" }],
  ])("reads %s", (text, target) => {
    expect(parseRecoveryTarget(text, utc)).toEqual(target);
  });

  test.each([
    ["2026-11-20T10:00:00", "2026-11-20 09:00:00.000000+00"],
    ["2026-11-20T10:00", "2026-11-20 09:00:00.000000+00"],
    ["2026-11-20 10:00:00.123456", "2026-11-20 09:00:00.123456+00"],
    ["2026-11-20 10:00:00.5", "2026-11-20 09:00:00.500000+00"],
    ["2026-11-20 10:00:00.000001000", "2026-11-20 09:00:00.000001+00"],
    ["2026-11-20T10:00:00Z", "2026-11-20 10:00:00.000000+00"],
    ["2026-11-20 10:00:00 UTC", "2026-11-20 10:00:00.000000+00"],
    ["2026-11-20 10:00:00+02", "2026-11-20 08:00:00.000000+00"],
    ["2026-11-20 10:00:00+02:00", "2026-11-20 08:00:00.000000+00"],
    ["2026-11-20 10:00:00.25 +0200", "2026-11-20 08:00:00.250000+00"],
    ["2026-11-20 01:00:00-05:30", "2026-11-20 06:30:00.000000+00"],
    ["2026-11-20 00:30:00+01", "2026-11-19 23:30:00.000000+00"],
    ["2024-02-29 12:00:00Z", "2024-02-29 12:00:00.000000+00"],
    ["2026-07-01 12:00:00", "2026-07-01 10:00:00.000000+00"],
    ["2026-03-29 01:59:59.999999", "2026-03-29 00:59:59.999999+00"],
    ["2026-03-29 03:00:00", "2026-03-29 01:00:00.000000+00"],
    ["2026-10-25 01:59:59", "2026-10-24 23:59:59.000000+00"],
    ["2026-10-25 03:00:00", "2026-10-25 02:00:00.000000+00"],
  ])("reads the time %s in Berlin as %s", (text, written) => {
    const target = parseRecoveryTarget(text, berlin);
    const time = new Date(`${written.slice(0, 10)}T${written.slice(11, 23)}Z`);
    expect(target).toEqual({ kind: "time", time, text: written, inclusive: true });
  });

  test.each([
    ["2026-02-30 10:00:00Z", "no such date or time of day"],
    ["2025-02-29 10:00:00Z", "no such date or time of day"],
    ["2026-13-01 10:00:00Z", "no such date or time of day"],
    ["2026-00-10 10:00:00Z", "no such date or time of day"],
    ["2026-11-20 24:00:00Z", "no such date or time of day"],
    ["2026-11-20 10:60:00Z", "no such date or time of day"],
    ["2026-11-20 10:00:60Z", "no such date or time of day"],
    ["0050-11-20 10:00:00Z", "no such date or time of day"],
    ["2026-11-20 10:00:00.1234567Z", "a time finer than microseconds"],
    ["2026-11-20 10:00:00+16", "no such time zone"],
    ["2026-11-20 10:00:00+02:60", "no such time zone"],
    ["2026-11-20 13:00:00Z", "the target time lies in the future"],
    ["2026-03-29 02:30:00", "no clock showed this local time: it was skipped for summer time"],
    ["2026-03-29 02:00:00", "no clock showed this local time: it was skipped for summer time"],
    ["2026-10-25 02:30:00", "clocks showed this local time twice"],
    ["2026-11-20", "not a recovery target"],
    ["2026-11-20 10:00:00 Europe/Berlin", "not a recovery target"],
    ["20 Nov 2026 10:00", "not a recovery target"],
    ["yesterday", "not a recovery target"],
    ["Latest", "not a recovery target"],
    ["", "not a recovery target"],
    ["lsn:0x3000060", "not a log sequence number"],
    ["lsn:", "not a log sequence number"],
    ["xid:", "not a transaction ID"],
    ["xid:-5", "not a transaction ID"],
    ["xid:2", "not a transaction ID"],
    ["xid:4294967296", "not a transaction ID"],
    ["xid:18446744073709551616", "not a transaction ID"],
    ["name:", "not the name of a restore point"],
    [`name:${"ä".repeat(32)}`, "not the name of a restore point"],
    ["name:a\nb", "not the name of a restore point"],
  ])("refuses %j", (text, problem) => {
    expect(() => parseRecoveryTarget(text, berlin)).toThrow(
      expect.objectContaining({ code: "usage", message: problem, hint: expect.any(String) }),
    );
  });

  test("names both moments of a local time that came twice", () => {
    expect(() => parseRecoveryTarget("2026-10-25 02:30:00", berlin)).toThrow(
      expect.objectContaining({ hint: "add the zone: it was 2026-10-25T00:30:00.000Z or 2026-10-25T01:30:00.000Z" }),
    );
  });

  test("knows summer time of half an hour", () => {
    expect(() => parseRecoveryTarget("2026-10-04 02:15:00", lordHowe)).toThrow(/skipped/);
    expect(parseRecoveryTarget("2026-10-04 02:30:00", lordHowe)).toMatchObject({
      text: "2026-10-03 15:30:00.000000+00",
    });
    expect(() => parseRecoveryTarget("2026-04-05 01:45:00", lordHowe)).toThrow(/twice/);
  });

  test("reads a time without a zone in the zone of the process", () => {
    const local = new Date(2026, 10, 20, 10, 0, 0);
    const later = { exclusive: false, now: new Date("2026-11-22T00:00:00Z") };
    expect(parseRecoveryTarget("2026-11-20 10:00:00", later)).toMatchObject({ time: local });
  });

  test("takes a time just ahead of this machine's clock for a difference of clocks", () => {
    expect(parseRecoveryTarget("2026-11-20 12:04:59Z", utc).kind).toBe("time");
    expect(() => parseRecoveryTarget("2026-11-20 12:05:01Z", utc)).toThrow(/future/);
  });

  test("exclusive is for times, LSNs and transactions", () => {
    const exclusive = { ...utc, exclusive: true };
    for (const text of ["lsn:0/3000060", "xid:1234", "2026-11-20 10:00Z"]) {
      expect(parseRecoveryTarget(text, exclusive)).toMatchObject({ inclusive: false });
    }
    for (const text of ["latest", "immediate", "name:x"]) {
      expect(() => parseRecoveryTarget(text, exclusive)).toThrow(/--exclusive means nothing/);
    }
  });

  test("keeps every microsecond of any moment in any zone", () => {
    const first = Date.UTC(2000, 0, 1);
    const moments = fc.integer({ min: 0, max: (now.getTime() - first) / 1000 });
    const offsets = fc.integer({ min: -15 * 60, max: 15 * 60 });
    fc.assert(
      fc.property(moments, fc.integer({ min: 0, max: 999_999 }), offsets, (seconds, microseconds, offset) => {
        const moment = first + seconds * 1000;
        const fraction = String(microseconds).padStart(6, "0");
        const shown = new Date(moment + offset * 60_000).toISOString().slice(0, 19);
        const minutes = Math.abs(offset);
        const sign = offset < 0 ? "-" : "+";
        const pad = (value: number): string => String(value).padStart(2, "0");
        const text = `${shown}.${fraction}${sign}${pad(Math.floor(minutes / 60))}:${pad(minutes % 60)}`;
        const wanted = `${new Date(moment).toISOString().slice(0, 19).replace("T", " ")}.${fraction}+00`;
        const target = parseRecoveryTarget(text, utc);
        expect(target).toMatchObject({ text: wanted, time: new Date(moment + Math.floor(microseconds / 1000)) });
        const local = { ...utc, localOffset: () => offset };
        expect(parseRecoveryTarget(`${shown}.${fraction}`, local)).toEqual(target);
        expect(parseRecoveryTarget(wanted, berlin)).toEqual(target);
      }),
    );
  });
});

describe("parseTargetTimeline", () => {
  test.each([
    ["latest", "latest"],
    ["current", "current"],
    ["1", 1],
    ["4294967295", 4294967295],
  ])("reads %s", (text, timeline) => {
    expect(parseTargetTimeline(text)).toBe(timeline);
  });

  test.each(["0", "-1", "4294967296", "0x2", "00000002", "0000000A", "newest", ""])("refuses %j", (text) => {
    expect(() => parseTargetTimeline(text)).toThrow(
      expect.objectContaining({ code: "usage", message: "not a timeline" }),
    );
  });
});
