import { describe, expect, test } from "vitest";
import { lsn } from "../../src/postgres/lsn.ts";
import { RecordView } from "../../src/postgres/wal-record.ts";

const DATA = Buffer.from("the main data");
const DATA_HEADER = [255, DATA.length];
const RELATION_AND_BLOCK = Array.from({ length: 16 }, () => 200);
const BLOCK = [200, 200, 200, 200];

function mainData(headers: readonly number[], payload: number, majorVersion = 18, data = DATA): string | undefined {
  const bytes = Buffer.concat([Buffer.alloc(24), Buffer.from(headers), Buffer.alloc(payload, 0xee), data]);
  const found = new RecordView(majorVersion, lsn(0n), () => bytes).mainData();
  return found && Buffer.from(found).toString();
}

describe("the main data of a record", () => {
  test.each<[string, number[], number, number]>([
    ["no block", [], 0, 18],
    ["an origin and the transaction above", [253, 1, 0, 252, 9, 0, 0, 0], 0, 18],
    ["a block with data", [0, 0x20, 7, 0, ...RELATION_AND_BLOCK], 7, 18],
    ["two blocks of one relation", [0, 0x20, 7, 0, ...RELATION_AND_BLOCK, 1, 0xa0, 9, 0, ...BLOCK], 16, 18],
    ["a page image", [0, 0x10, 0, 0, 100, 0, 50, 0, 0x03, ...RELATION_AND_BLOCK], 100, 18],
    ["a compressed one with a hole", [0, 0x10, 0, 0, 100, 0, 50, 0, 0x07, 1, 1, ...RELATION_AND_BLOCK], 100, 15],
    ["one compressed by zstd", [0, 0x10, 0, 0, 100, 0, 50, 0, 0x13, 1, 1, ...RELATION_AND_BLOCK], 100, 17],
    ["a compressed one without a hole", [0, 0x10, 0, 0, 100, 0, 0, 0, 0x06, ...RELATION_AND_BLOCK], 100, 16],
    ["one that 14 compressed, with a hole", [0, 0x10, 0, 0, 100, 0, 50, 0, 0x07, 1, 1, ...RELATION_AND_BLOCK], 100, 14],
    ["one of 14's with a hole, not compressed", [0, 0x10, 0, 0, 100, 0, 50, 0, 0x05, ...RELATION_AND_BLOCK], 100, 14],
  ])("is found behind %s", (_, headers, payload, majorVersion) => {
    expect(mainData([...headers, ...DATA_HEADER], payload, majorVersion)).toBe(DATA.toString());
  });

  test("is found where it is long, and empty where there is none", () => {
    const long = Buffer.alloc(1000, 0x61);
    expect(mainData([254, 0xe8, 3, 0, 0], 0, 18, long)).toBe(long.toString());
    expect(mainData([0, 0x20, 7, 0, ...RELATION_AND_BLOCK], 7, 18, Buffer.alloc(0))).toBe("");
  });

  test.each<[string, number[]]>([
    ["shorter than they say", [255, DATA.length + 1]],
    ["longer than they say", [255, DATA.length - 1]],
    ["of a kind that there is not", [100, 0]],
    ["cut off in a block", [0, 0x10, 0, 0]],
    ["only half there", [254]],
  ])("is not found when the headers are %s", (_, headers) => {
    expect(mainData(headers, 0)).toBeUndefined();
  });
});
