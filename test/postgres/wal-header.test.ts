import { describe, expect, test } from "vitest";
import { parseWalFileName } from "../../src/postgres/wal-file-name.ts";
import type { WalFileName } from "../../src/postgres/wal-file-name.ts";
import { readWalHeader, verifyWalSegment } from "../../src/postgres/wal-header.ts";
import { thrownBy } from "./errors.ts";

const SIZE = 1024 * 1024;
const identity = { majorVersion: 17, systemIdentifier: 7_500_000_000_000_000_000n };

interface Fields {
  magic?: number;
  info?: number;
  timeline?: number;
  address?: bigint;
  system?: bigint;
  segmentSize?: number;
  blockSize?: number;
}

function walSegment(fields: Fields = {}, size = SIZE): Buffer {
  const bytes = Buffer.alloc(size);
  bytes.writeUInt16LE(fields.magic ?? 0xd116, 0);
  bytes.writeUInt16LE(fields.info ?? 2, 2);
  bytes.writeUInt32LE(fields.timeline ?? 2, 4);
  bytes.writeBigUInt64LE(fields.address ?? 0x300000n, 8);
  bytes.writeBigUInt64LE(fields.system ?? identity.systemIdentifier, 24);
  bytes.writeUInt32LE(fields.segmentSize ?? SIZE, 32);
  bytes.writeUInt32LE(fields.blockSize ?? 8192, 36);
  return bytes;
}

function nameOf(text: string): Extract<WalFileName, { kind: "segment" | "partial" }> {
  const name = parseWalFileName(text);
  if (name?.kind === "segment" || name?.kind === "partial") return name;
  throw new Error(`${text} is no segment`);
}

const name = nameOf("000000020000000000000003");

describe("the header of a WAL segment", () => {
  test("is read", () => {
    expect(readWalHeader(walSegment())).toEqual({
      magic: 0xd116,
      majorVersion: 17,
      timeline: 2,
      pageAddress: 0x300000n,
      systemIdentifier: identity.systemIdentifier,
      segmentSize: SIZE,
      blockSize: 8192,
    });
  });

  test("is read from bytes in the middle of a buffer", () => {
    const shifted = Buffer.concat([Buffer.alloc(3), walSegment()]).subarray(3);
    expect(readWalHeader(shifted).pageAddress).toBe(0x300000n);
  });

  test("of a version that is not known yet has no major version", () => {
    expect(readWalHeader(walSegment({ magic: 0xd1ff, info: 0x12 })).majorVersion).toBeUndefined();
  });

  test.each<[string, Buffer]>([
    ["an empty file", Buffer.alloc(0)],
    ["zeroes", Buffer.alloc(SIZE)],
    ["text", Buffer.from("not WAL at all, but long enough to hold a header")],
    ["a page that is not the first", walSegment({ info: 0 })],
    ["flags that no version sets", walSegment({ info: 0x8002 })],
    ["an impossible segment size", walSegment({ segmentSize: SIZE + 1 })],
    ["an impossible page size", walSegment({ blockSize: 0 })],
    ["timeline 0", walSegment({ timeline: 0 })],
    ["an address within a segment", walSegment({ address: 0x302000n })],
  ])("%s has none", (_, bytes) => {
    const error = thrownBy(() => readWalHeader(bytes));
    expect(error.code).toBe("corrupt");
    expect(error.message).toMatch(/^not a WAL segment: /);
  });
});

describe("a WAL segment", () => {
  test.each(["000000020000000000000003", "000000020000000000000003.partial"])("that is what %s says passes", (text) => {
    expect(verifyWalSegment({ name: nameOf(text), bytes: walSegment(), identity }).timeline).toBe(2);
  });

  test("may begin on an ancestor of its timeline", () => {
    expect(verifyWalSegment({ name, bytes: walSegment({ timeline: 1 }), identity }).timeline).toBe(1);
  });

  test.each<[string, Buffer]>([
    ["cut short", walSegment().subarray(0, SIZE - 512)],
    ["too long", Buffer.concat([walSegment(), Buffer.alloc(1)])],
    ["of another segment", walSegment({ address: 0x400000n })],
    ["of a later timeline", walSegment({ timeline: 3 })],
  ])("%s is corrupt", (_, bytes) => {
    expect(thrownBy(() => verifyWalSegment({ name, bytes, identity }))).toMatchObject({
      code: "corrupt",
      object: name.name,
    });
  });

  test.each<[string, Fields, string]>([
    ["another system identifier", { system: 42n }, "17-42"],
    ["another major version", { magic: 0xd118 }, "18-7500000000000000000"],
  ])("with %s is refused, and both identities are named", (_, fields, found) => {
    const error = thrownBy(() => verifyWalSegment({ name, bytes: walSegment(fields), identity }));
    expect(error.code).toBe("identity-mismatch");
    expect(error.message).toContain(`cluster ${found},`);
    expect(error.message).toContain("17-7500000000000000000");
  });

  test("of another cluster and another segment size says whose it is", () => {
    const bytes = walSegment({ system: 42n, segmentSize: 2 * SIZE, address: 0x400000n });
    expect(thrownBy(() => verifyWalSegment({ name, bytes, identity })).code).toBe("identity-mismatch");
  });

  test("is not compared to any cluster without an identity", () => {
    expect(verifyWalSegment({ name, bytes: walSegment({ system: 42n }) }).systemIdentifier).toBe(42n);
  });
});
