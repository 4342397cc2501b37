import { describe, expect, test } from "vitest";
import { lsn } from "../../src/postgres/lsn.ts";
import { timelineId } from "../../src/postgres/timeline.ts";
import { checkWalSegment } from "../../src/postgres/wal-records.ts";
import type { Catalog } from "../../src/repository/catalog.ts";
import type { Repository } from "../../src/repository/repository.ts";
import { Findings } from "../../src/verify/fault.ts";
import { SegmentJoiner } from "../../src/verify/segment-joiner.ts";
import type { ReadSegment, SegmentPiece } from "../../src/verify/segment-piece.ts";
import { WalBuilder } from "../postgres/wal-builder.ts";
import { identity, newRepository } from "../repository/backup-fixture.ts";

const blockSize = 8192;

/** Segments 5 to 7 of timeline 1, with records over their ends; at 7.25 timeline 2 goes on from there. */
function buildWal(): { readonly one: WalBuilder; readonly two: WalBuilder; readonly fork: bigint } {
  const one = new WalBuilder({ firstSegment: 5 });
  const fill = (wal: WalBuilder, until: bigint): void => {
    while (wal.position < until) wal.addData(Buffer.alloc(3000, Number(wal.position % 251n)));
  };
  fill(one, one.start + BigInt(2.25 * one.segmentSize));
  const fork = one.position;
  const two = one.fork(2);
  fill(one, one.start + BigInt(3 * one.segmentSize));
  fill(two, one.start + BigInt(4 * one.segmentSize));
  return { one, two, fork };
}

interface Found {
  readonly piece: SegmentPiece;
  readonly read: ReadSegment;
}

/** What reading a segment gives, as the worker tells it. */
function readSegment({ name, bytes }: ReturnType<WalBuilder["segment"]>, order: number): Found {
  const { timeline } = name;
  const pages = Array.from({ length: bytes.length / blockSize }, (_, page) =>
    Buffer.from(bytes.buffer, bytes.byteOffset + page * blockSize + 4, 4).readUInt32LE(),
  );
  const inherited = pages.findIndex((page) => page === timeline || page === 0);
  const check = checkWalSegment({ name, bytes });
  const inheritedUntil = lsn(check.start + BigInt(inherited * blockSize));
  const segment = BigInt(name.segment);
  return {
    piece: { order, timeline, segment, name, key: name.name },
    read: { kind: "read", check, inheritedUntil, blockSize },
  };
}

function catalogOf(segmentSize: number, switchPoint?: bigint): Catalog {
  const two = timelineId(2);
  const ancestors = [{ timeline: timelineId(1), switchPoint: lsn(switchPoint ?? 0n), reason: "" }];
  const histories = new Map(switchPoint === undefined ? [] : [[two, { timeline: two, ancestors }]]);
  return { identity, walSegmentSize: segmentSize, backups: [], histories, wal: [], partials: [] };
}

async function join(
  found: readonly Found[],
  catalog: Catalog,
): Promise<{ readonly faults: readonly string[]; readonly done: readonly string[] }> {
  const repository: Repository = await newRepository();
  const findings = new Findings();
  const done: string[] = [];
  const onDone = (timeline: number, segment: bigint): void => void done.push(`${timeline}:${segment}`);
  const joiner = new SegmentJoiner(repository, catalog, { findings, onDone });
  for (const { piece, read } of found) joiner.add(piece, read);
  return { faults: findings.faults.map(({ kind, object }) => `${kind} ${object.split("/").at(-1)}`), done };
}

describe("segments that were read one by one", () => {
  const { one, two, fork } = buildWal();
  const segments = (): readonly Found[] =>
    [one.segment(0), one.segment(1), one.segment(2), two.segment(2), two.segment(3)].map(readSegment);
  const catalog = catalogOf(one.segmentSize, fork);
  const places = ["1:5", "1:6", "1:7", "2:7", "2:8"];

  test("join over their ends and over a switch of timelines, in whatever order they come", async () => {
    const found = segments();
    expect(await join(found, catalog)).toEqual({ faults: [], done: places });
    for (const order of [
      [4, 3, 2, 1, 0],
      [2, 0, 4, 1, 3],
      [1, 2, 0, 3, 4],
    ]) {
      const shuffled = order.flatMap((index) => found[index] ?? []);
      expect(await join(shuffled, catalog)).toEqual({ faults: [], done: places });
    }
  });

  test("do not join where one is of another WAL, though each is whole by itself", async () => {
    const other = new WalBuilder({ firstSegment: 5 });
    while (other.position < other.start + BigInt(2 * other.segmentSize)) other.addData(Buffer.alloc(2900, 3));
    const found = segments().with(1, readSegment(other.segment(1), 1));
    const { faults } = await join(found, catalog);
    expect(faults[0]).toBe("bad-record 000000010000000000000006");
  });

  test("do not join over the switch, where the younger timeline's first one is of another WAL", async () => {
    const other = new WalBuilder({ firstSegment: 7 });
    while (other.position < fork) other.addData(Buffer.alloc(2000, 3));
    const branch = other.fork(2);
    while (branch.position < one.start + BigInt(3 * one.segmentSize)) branch.addData(Buffer.alloc(2000, 4));
    const found = segments()
      .with(3, readSegment(branch.segment(0), 3))
      .slice(0, 4);
    const { faults } = await join(found, catalogOf(one.segmentSize, other.position));
    expect(faults).toContain("bad-record 000000020000000000000007");
  });

  test("contradict a history that has their timeline begin some pages off", async () => {
    const wrong = catalogOf(one.segmentSize, fork - 3n * BigInt(blockSize));
    expect((await join(segments(), wrong)).faults).toEqual(["contradiction 00000002.history.zst"]);
  });

  test("are not held against one that is missing or faulty, and begin anew behind it", async () => {
    const found = segments();
    const faulty = found.with(1, { ...(found[1] as Found), read: "faulty" });
    expect(await join(faulty, catalog)).toEqual({ faults: [], done: places });
    const [first, , third] = found as [Found, Found, Found];
    const missing = [first, { ...third, piece: { ...third.piece, order: 1 } }];
    expect(await join(missing, catalogOf(one.segmentSize))).toEqual({ faults: [], done: ["1:5", "1:7"] });
  });

  test("are not done from the first on of which nobody knows how it is", async () => {
    const found = segments();
    const unknown = found.with(2, { ...(found[2] as Found), read: "unknown" });
    expect(await join(unknown, catalog)).toEqual({ faults: [], done: ["1:5", "1:6"] });
  });
});
