import { frameSize } from "../envelope/payload-writer.ts";
import { openZstd } from "../envelope/zstd.ts";
import type { CompressTask, Frames } from "./pack-tasks.ts";

/** Worker: compresses one shared buffer into another, in frames. */
export function compressFrames(task: CompressTask): Frames {
  const zstd = openZstd(task.level);
  const plain = Buffer.from(task.plain, 0, task.plainSize);
  const compressed = Buffer.from(task.compressed);
  const sizes: { size: number; plainSize: number }[] = [];
  let filled = 0;
  for (let offset = 0; offset < plain.length; offset += frameSize) {
    const piece = plain.subarray(offset, offset + frameSize);
    const size = zstd.compress(compressed.subarray(filled), piece);
    sizes.push({ size, plainSize: piece.length });
    filled += size;
  }
  return { sizes };
}
