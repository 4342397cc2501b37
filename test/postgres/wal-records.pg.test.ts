import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { formatLsn, parseLsn } from "../../src/postgres/lsn.ts";
import type { Lsn } from "../../src/postgres/lsn.ts";
import { readEndOfRecovery, readRestorePoint, readTransactionEnd } from "../../src/postgres/transaction-records.ts";
import { joinWalSegment } from "../../src/postgres/wal-chain.ts";
import type { WalChain } from "../../src/postgres/wal-chain.ts";
import { WalRecordReader } from "../../src/postgres/wal-record-reader.ts";
import type { WalRecord } from "../../src/postgres/wal-record.ts";
import { checkWalSegment } from "../../src/postgres/wal-records.ts";
import type { WalSegmentCheck, WalSegmentInput } from "../../src/postgres/wal-segment-check.ts";
import { type Major, majors } from "../helpers/postgres-programs.ts";
import { describeWith } from "../helpers/requirements.ts";
import { clientProgram, debianClientProgram, type Tool } from "../helpers/tools.ts";
import { describeText, type EventfulWal, eventfulWal, type ServersRecord } from "./eventful-wal.ts";

const run = promisify(execFile);

/** src/include/access/rmgrlist.h */
const RESOURCE_MANAGERS =
  "XLOG Transaction Storage CLOG Database Tablespace MultiXact RelMap Standby Heap2 Heap Btree Hash Gin Gist Sequence SPGist BRIN CommitTs ReplicationOrigin Generic LogicalMessage".split(
    " ",
  );

const made = new Map<Major, Promise<EventfulWal>>();

/** Each major's WAL is made once. */
function walOf(major: Major): Promise<EventfulWal> {
  const wal = made.get(major) ?? eventfulWal(major);
  made.set(major, wal);
  return wal;
}

/** Visits every record on the path, up to what the server had flushed when it was asked. */
function visitPath(wal: EventfulWal, visit: (record: WalRecord) => void): void {
  const reader = new WalRecordReader();
  for (const segment of wal.path) {
    const { fault } = reader.read({ ...segment, wholeUntil: wal.flushed }, (record) => {
      if (record.lsn >= wal.flushed) return "stop";
      visit(record);
      return undefined;
    });
    expect(fault).toBeUndefined();
  }
}

function describeRecord(record: WalRecord): string {
  const end = readTransactionEnd(record);
  if (end !== undefined) return `${end.kind} of ${end.xid} at ${end.time}`;
  const point = readRestorePoint(record);
  if (point !== undefined) return `restore point "${point.name}"`;
  const recovery = readEndOfRecovery(record);
  return recovery === undefined ? "" : `end of recovery ${recovery.previousTimeline} to ${recovery.timeline}`;
}

function recordsOf(wal: EventfulWal): ServersRecord[] {
  const records: ServersRecord[] = [];
  visitPath(wal, (record) => {
    records.push({
      lsn: formatLsn(record.lsn),
      resourceManager: RESOURCE_MANAGERS[record.resourceManager] ?? "",
      xid: record.xid,
      length: record.totalLength,
      description: describeRecord(record),
    });
  });
  return records;
}

/** One line a record: a difference between thousands is then shown as such. */
function asLines(records: readonly ServersRecord[]): string[] {
  return records.map((one) =>
    `${one.lsn} ${one.resourceManager} ${one.xid} ${one.length} ${one.description}`.trimEnd(),
  );
}

function checkAll(segments: readonly WalSegmentInput[]): { checks: WalSegmentCheck[]; chain: WalChain | undefined } {
  const checks = segments.map((segment) => checkWalSegment(segment));
  let chain: WalChain | undefined;
  for (const check of checks) {
    const joined = joinWalSegment(chain, check);
    expect(check.fault ?? joined.fault).toBeUndefined();
    chain = joined.chain;
  }
  return { checks, chain };
}

describe.each(majors)("the WAL of PostgreSQL %d", { timeout: 120_000 }, (major) => {
  test("is whole on both timelines, through a crash that lost the end of a record", async () => {
    const wal = await walOf(major);
    const last = wal.path.length - 1;
    const { checks } = checkAll(
      wal.path.map((segment, index) => (index === last ? { ...segment, wholeUntil: wal.flushed } : segment)),
    );
    expect(checks.filter(({ outcome }) => outcome === "switched").length).toBeGreaterThanOrEqual(2);
    expect(checks.filter(({ head }) => head?.state === "continues").length).toBeGreaterThan(0);
    expect(checks.map(({ firstTimeline, lastTimeline }) => `${firstTimeline} ${lastTimeline}`)).toContain("1 2");

    const before = checkAll(wal.path.filter(({ name }) => name.timeline === 1));
    const old = checkWalSegment({ ...wal.oldTimeline, wholeUntil: wal.switchPoint });
    expect(wal.oldTimeline.name.kind).toBe(major === 16 || major === 17 ? "partial" : "segment");
    expect(checkWalSegment({ ...wal.oldTimeline, wholeUntil: "unknown" })).toEqual(old);
    expect(old).toMatchObject({ outcome: "ended", validUntil: wal.switchPoint });
    expect(joinWalSegment(before.chain, old).fault).toBeUndefined();

    const overwritten = checks.findIndex(({ overwrites }) => overwrites);
    expect(checks[overwritten - 1]?.tail?.lsn).toBe(wal.lost);
    const visited: bigint[] = [];
    visitPath(wal, (record) => void visited.push(record.lsn));
    expect(visited).not.toContain(wal.lost);
  });

  test("holds the commits and restore points that the server knows of", async () => {
    const wal = await walOf(major);
    const commits = new Map<number, bigint>();
    const points: unknown[] = [];
    visitPath(wal, (record) => {
      const end = readTransactionEnd(record);
      if (end?.kind === "commit" && end.xid !== 0) commits.set(end.xid, end.time);
      const point = readRestorePoint(record);
      if (point !== undefined) points.push({ name: point.name, end: formatLsn(record.endLsn) });
    });
    expect(points).toEqual(wal.restorePoints);
    const remembered = [...commits].filter(([xid]) => wal.commitTimes.has(xid));
    expect(remembered.length).toBeGreaterThan(350);
    expect(remembered).toEqual(remembered.map(([xid]) => [xid, wal.commitTimes.get(xid)]));
  });

  test("shows where it was damaged", async () => {
    const { path } = await walOf(major);
    const segment = path.find((one) => checkWalSegment(one).records > 500);
    if (segment === undefined) throw new Error("no segment has so many records");
    const clean = checkWalSegment(segment);
    const places: { lsn: bigint; offset: number }[] = [];
    new WalRecordReader().read(segment, ({ lsn, totalLength }) => {
      places.push({ lsn, offset: Number(lsn - clean.start) + (totalLength > 60 ? 50 : 4) });
    });
    for (let index = 3; index < places.length; index += Math.ceil(places.length / 8)) {
      const bytes = Buffer.from(segment.bytes);
      const { lsn, offset } = places[index] ?? { lsn: 0n, offset: 0 };
      bytes[offset] = (bytes[offset] ?? 0) ^ 0x10;
      expect(checkWalSegment({ ...segment, bytes }).fault?.record).toBe(lsn);
    }
  });
});

describe("pg_walinspect", { timeout: 120_000 }, () => {
  test.each(majors.filter((major) => major >= 15))("tells the same records of PostgreSQL %d", async (major) => {
    const wal = await walOf(major);
    expect(wal.records?.length).toBeGreaterThan(5000);
    expect(asLines(recordsOf(wal))).toEqual(asLines(wal.records ?? []));
  });
});

function compareWithWaldump(major: Major, findProgram: () => Promise<Tool>): void {
  test(`tells the same records of PostgreSQL ${major}`, async () => {
    const wal = await walOf(major);
    const ours: string[] = [];
    for (const timeline of [1, 2]) {
      const lines = await waldump(await findProgram(), wal, timeline);
      expect(lines.length).toBeGreaterThan(100);
      ours.push(...lines);
    }
    expect(ours).toEqual(asLines(recordsOf(wal)));
  }, 120_000);
}

function firstLsn({ path: [first] }: EventfulWal): Lsn {
  return first === undefined ? parseLsn("0/0") : checkWalSegment(first).start;
}

/** What the program tells of a timeline: of the first one up to the switch point, of the second one from there on. */
async function waldump(program: Tool, wal: EventfulWal, timeline: number): Promise<string[]> {
  const start = formatLsn(timeline === 1 ? firstLsn(wal) : wal.switchPoint);
  const end = formatLsn(timeline === 1 ? wal.switchPoint : wal.flushed);
  const { stdout } = await run(
    program.path,
    ["--path", wal.walDirectory, "--timeline", String(timeline), "--start", start, "--end", end],
    { env: { ...program.env, TZ: "UTC" }, maxBuffer: 256 << 20 },
  );
  const line = /^rmgr: (\w+) +len \(rec\/tot\): +\d+\/ *(\d+), tx: +(\d+), lsn: ([0-9A-F/]+), prev \S+, desc: (.*)$/;
  return asLines(
    stdout.split("\n").flatMap((text) => {
      const [, resourceManager = "", length, xid = "", lsn = "", description = ""] = line.exec(text) ?? [];
      if (lsn === "") return [];
      const [high = "", low = ""] = lsn.split("/");
      return {
        lsn: `${high}/${low.replace(/^0+/, "")}`,
        resourceManager,
        xid: Number(xid),
        length: Number(length),
        description: describeText(description, xid),
      };
    }),
  );
}

describeWith(["pg-tools-18"], "PostgreSQL 18's pg_waldump", () => {
  compareWithWaldump(18, () => clientProgram("pg_waldump"));
});

describeWith(["postgresql-15"], "Debian's pg_waldump", () => {
  compareWithWaldump(15, async () => debianClientProgram("pg_waldump"));
});
