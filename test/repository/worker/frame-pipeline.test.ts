import { describe, expect, onTestFinished, test } from "vitest";
import { openZstd } from "../../../src/repository/envelope/zstd.ts";
import { FramePipeline } from "../../../src/repository/worker/frame-pipeline.ts";
import { WorkerPool } from "../../../src/repository/worker/worker-pool.ts";

/** Bytes that differ everywhere, so that a frame in the wrong place or an overwritten buffer shows. */
function bytesOf(length: number): Buffer {
  const words = Uint32Array.from({ length: Math.ceil(length / 4) }, (_, index) => Math.imul(index, 0x9e3779b1));
  return Buffer.from(words.buffer, 0, length);
}

function openPipeline(threads: number): FramePipeline {
  const pool = new WorkerPool(threads);
  const pipeline = new FramePipeline(pool, 1);
  onTestFinished(async () => {
    await pipeline.close();
    await pool.close();
  });
  return pipeline;
}

describe("a frame pipeline", () => {
  test.each([1, 3])("with %i workers hands on every byte, in order, however it is written", async (threads) => {
    const pipeline = openPipeline(threads);
    const zstd = openZstd(1);
    const plain = bytesOf(9 * 1024 * 1024 + 12_345);
    const found: Buffer[] = [];
    const consume = (frame: Uint8Array, plainSize: number): void => {
      const target = Buffer.alloc(plainSize);
      expect(zstd.decompress(target, frame)).toBe(plainSize);
      found.push(target);
    };
    const consumed = async (): Promise<void> => {};
    const pieces = [1, 700_001, 65_536, 3_000_000, 131_072];
    for (let at = 0, turn = 0; at < plain.length; turn++) {
      const piece = plain.subarray(at, at + (pieces[turn % pieces.length] ?? 1));
      await pipeline.write(piece, consume, consumed);
      at += piece.length;
    }
    await pipeline.flush(consume, consumed);
    expect(Buffer.concat(found).equals(plain)).toBe(true);
  });

  test("goes on after a flush, as the next pack does", async () => {
    const pipeline = openPipeline(2);
    const sizes: number[] = [];
    const consume = (_: Uint8Array, plainSize: number): void => void sizes.push(plainSize);
    const consumed = async (): Promise<void> => {};
    for (const length of [1000, 2_000_000, 131_072]) {
      await pipeline.write(bytesOf(length), consume, consumed);
      await pipeline.flush(consume, consumed);
      expect(sizes.splice(0).reduce((sum, size) => sum + size, 0)).toBe(length);
    }
  });

  test("throws what its consumer ran into, and takes no more", async () => {
    const pipeline = openPipeline(2);
    const consume = (): void => {};
    const consumed = async (): Promise<void> => {
      throw new Error("the store is full");
    };
    await pipeline.write(bytesOf(3_000_000), consume, consumed);
    await expect(pipeline.flush(consume, consumed)).rejects.toThrow("the store is full");
    await expect(pipeline.write(bytesOf(3_000_000), consume, consumed)).rejects.toThrow("the store is full");
  });

  test("can be closed while its workers wait for more", async () => {
    const pipeline = openPipeline(2);
    await pipeline.write(
      bytesOf(100),
      () => {},
      async () => {},
    );
    await expect(pipeline.close()).resolves.toBeUndefined();
  });
});
