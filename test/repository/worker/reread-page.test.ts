import { describe, expect, test } from "vitest";
import { pageChecksum } from "../../../src/postgres/page-checksum.ts";
import { rereadUntilGood } from "../../../src/repository/worker/reread-page.ts";

const block = 131_075;

function goodPage(): Buffer {
  const page = Buffer.alloc(8192, 7);
  page.writeUInt16LE(pageChecksum(new Int32Array(page.buffer, page.byteOffset, 2048), 0, 2048, block), 8);
  return page;
}

function tornPage(): Buffer {
  const page = goodPage();
  page.fill(8, 4096);
  return page;
}

/** Reads that find the given pages one after the other, and the last for ever. */
function rereadOf(found: readonly Buffer[]): { readonly good: boolean; readonly reads: number; readonly page: Buffer } {
  let reads = 0;
  const page = tornPage();
  const read = (into: Uint8Array): number => {
    const next = found[Math.min(reads++, found.length - 1)] ?? Buffer.alloc(0);
    into.set(next);
    return next.length;
  };
  return { good: rereadUntilGood(page, block, { read, pause: () => {} }), reads, page };
}

describe("a page whose checksum does not hold", () => {
  test("and that was being written is taken as it is once it is whole", () => {
    const { good, reads, page } = rereadOf([tornPage(), tornPage(), goodPage()]);
    expect({ good, reads }).toEqual({ good: true, reads: 3 });
    expect(page.equals(goodPage())).toBe(true);
  });

  test("and that stays so is bad", () => {
    expect(rereadOf([tornPage()])).toMatchObject({ good: false, reads: 5 });
  });

  test("and that has been truncated away meanwhile is left to WAL, and reads as zeros", () => {
    const { good, reads, page } = rereadOf([Buffer.alloc(0)]);
    expect({ good, reads }).toEqual({ good: true, reads: 1 });
    expect(page.equals(Buffer.alloc(8192))).toBe(true);
  });
});
