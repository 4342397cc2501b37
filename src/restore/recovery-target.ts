import { PgarkError } from "../errors.ts";
import { parseLsn } from "../postgres/lsn.ts";
import { parseTimelineId } from "../postgres/timeline.ts";
import type { RecoveryTarget, TargetTimeline } from "./recovery-plan.ts";

export interface TargetOptions {
  /** stop just before the target (`recovery_target_inclusive = off`); only for time, LSN and transaction */
  readonly exclusive: boolean;
  /** a target time well after it is refused: most often its zone is wrong */
  readonly now: Date;
  /**
   * The offset of local time from UTC at a moment, in minutes, positive in the east; both in and out of summer time. For times
   * without a zone; left out, the zone of the process.
   */
  readonly localOffset?: (moment: Date) => number;
}

const OPERATION = "read recovery target";
const FORMS =
  "a target is latest, immediate, a time such as 2026-11-20T10:00:00Z, lsn:0/3000060, xid:1234 or name:label";
const TIME_FORM = "write 2026-11-20T10:00:00Z or, in local time, 2026-11-20 10:00:00.5; seconds may be left out";

const TIME = new RegExp(
  String.raw`^(\d{4})-(\d{2})-(\d{2})[Tt ](\d{2}):(\d{2})(?::(\d{2})(?:\.(\d+))?)?\s*(?:([Zz]|UTC|GMT)|([+-])(\d{2})(?::?(\d{2}))?)?$`,
);

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;
/** clocks of two machines may be this far apart without anyone being at fault */
const CLOCK_TOLERANCE = 5 * MINUTE;
/** MAX_TZDISP_HOUR in src/include/datatype/timestamp.h */
const MAX_ZONE_HOURS = 15;
/** MAXFNAMELEN - 1 in src/include/access/xlog_internal.h, in bytes */
const MAX_NAME_BYTES = 63;
/** FirstNormalTransactionId in src/include/access/transam.h */
const FIRST_NORMAL_XID = 3n;

/** Reads `--to`. Throws `usage`, with what would be right. */
export function parseRecoveryTarget(text: string, options: TargetOptions): RecoveryTarget {
  const inclusive = !options.exclusive;
  const [, prefix, value] = /^(lsn|xid|name):(.*)$/s.exec(text) ?? [];
  if (prefix === "lsn") return { kind: "lsn", lsn: parseLsn(value ?? ""), inclusive };
  if (prefix === "xid") return { kind: "xid", xid: parseXid(text, value ?? ""), inclusive };
  const isWord = text === "latest" || text === "immediate";
  if (isWord || prefix === "name") {
    if (options.exclusive) {
      throw usage(
        text,
        "--exclusive means nothing with this target",
        "leave it out: it is for a time, an LSN or a transaction",
      );
    }
    return isWord ? { kind: text } : { kind: "name", name: checkName(text, value ?? "") };
  }
  return { kind: "time", ...parseTime(text, options), inclusive };
}

/** Reads `--timeline`: `latest`, `current` or a decimal number. Throws `usage`. */
export function parseTargetTimeline(text: string): TargetTimeline {
  if (text === "latest" || text === "current") return text;
  if (/^[1-9]\d*$/.test(text)) return parseTimelineId(text);
  throw new PgarkError("usage", "not a timeline", {
    operation: "read timeline",
    object: text,
    hint: "--timeline takes latest, current or a decimal number from 1 on; 0000000A in a file name is timeline 10",
  });
}

/** A transaction ID, with or without its epoch, as PostgreSQL's `strtou64` takes it: without zeros that mean octal. */
function parseXid(text: string, digits: string): string {
  const xid = /^\d{1,20}$/.test(digits) ? BigInt(digits) : 0n;
  if (xid >= 1n << 64n || (xid & 0xffffffffn) < FIRST_NORMAL_XID) {
    throw usage(text, "not a transaction ID", "a transaction ID is a decimal number from 3 on, such as xid:1234");
  }
  return xid.toString();
}

function checkName(text: string, name: string): string {
  const bytes = Buffer.byteLength(name);
  // eslint-disable-next-line no-control-regex
  if (bytes === 0 || bytes > MAX_NAME_BYTES || /[\u0000-\u001f\u007f]/.test(name)) {
    const hint = `the name given to pg_create_restore_point has 1 to ${MAX_NAME_BYTES} bytes and no control characters`;
    throw usage(text, "not the name of a restore point", hint);
  }
  return name;
}

function parseTime(text: string, options: TargetOptions): { readonly time: Date; readonly text: string } {
  const match = TIME.exec(text);
  if (match === null) throw usage(text, "not a recovery target", `${FORMS}; ${TIME_FORM}`);
  const wallClock = readWallClock(text, match);
  const microseconds = readFraction(text, match[7] ?? "");
  const zone = readZone(text, match);
  const second = zone === undefined ? resolveLocal(text, wallClock, options.localOffset) : wallClock - zone * MINUTE;
  const time = new Date(second + Math.floor(microseconds / 1000));
  const utc = `${new Date(second).toISOString().slice(0, 19).replace("T", " ")}.${String(microseconds).padStart(6, "0")}+00`;
  if (time.getTime() > options.now.getTime() + CLOCK_TOLERANCE) {
    const hint = `it was read as ${utc} and now is ${options.now.toISOString()}: a time without a zone is local, so add Z or +02:00`;
    throw usage(text, "the target time lies in the future", hint);
  }
  return { time, text: utc };
}

/** The date and time as written, as if they were UTC; in milliseconds, whole seconds. */
function readWallClock(text: string, match: RegExpExecArray): number {
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = match
    .slice(1, 7)
    .map((part) => Number(part ?? 0));
  const wallClock = Date.UTC(year, month - 1, day, hour, minute, second);
  const written = [match[1], "-", match[2], "-", match[3], "T", match[4], ":", match[5], ":", match[6] ?? "00"].join(
    "",
  );
  if (new Date(wallClock).toISOString().slice(0, 19) !== written) {
    throw usage(text, "no such date or time of day", `check day and month, and hours below 24; ${TIME_FORM}`);
  }
  return wallClock;
}

/** Microseconds of the second; digits beyond them may only be zeros, for PostgreSQL would round them. */
function readFraction(text: string, digits: string): number {
  if (/[1-9]/.test(digits.slice(6))) {
    throw usage(
      text,
      "a time finer than microseconds",
      "PostgreSQL keeps six digits after the seconds: leave out the others",
    );
  }
  return Number(digits.slice(0, 6).padEnd(6, "0"));
}

/** The offset from UTC in minutes, positive in the east; undefined for local time. */
function readZone(text: string, match: RegExpExecArray): number | undefined {
  if (match[8] !== undefined) return 0;
  if (match[9] === undefined) return undefined;
  const [hours, minutes] = [Number(match[10]), Number(match[11] ?? 0)];
  if (hours > MAX_ZONE_HOURS || minutes > 59)
    throw usage(text, "no such time zone", "an offset from UTC is like +02 or -05:30");
  return (hours * 60 + minutes) * (match[9] === "-" ? -1 : 1);
}

/** The moment at which local clocks showed `wallClock`. There is none when clocks were put forward over it, and two after back. */
function resolveLocal(text: string, wallClock: number, localOffset = processOffset): number {
  const offsets = new Set([-DAY, 0, DAY].map((shift) => localOffset(new Date(wallClock + shift))));
  const moments = [...offsets]
    .map((offset) => ({ offset, moment: wallClock - offset * MINUTE }))
    .filter(({ offset, moment }) => localOffset(new Date(moment)) === offset)
    .map(({ moment }) => moment)
    .toSorted((a, b) => a - b);
  const [first, second] = moments;
  if (first === undefined) {
    throw usage(
      text,
      "no clock showed this local time: it was skipped for summer time",
      "add the zone, such as Z or +02:00",
    );
  }
  if (second !== undefined) {
    const readings = moments.map((moment) => new Date(moment).toISOString()).join(" or ");
    throw usage(text, "clocks showed this local time twice", `add the zone: it was ${readings}`);
  }
  return first;
}

function processOffset(moment: Date): number {
  return -moment.getTimezoneOffset();
}

function usage(text: string, problem: string, hint: string): PgarkError {
  return new PgarkError("usage", problem, { operation: OPERATION, object: text, hint });
}
