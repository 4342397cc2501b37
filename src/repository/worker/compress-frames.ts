import { frameSize } from "../envelope/payload-writer.ts";
import { openZstd } from "../envelope/zstd.ts";
import type { CompressTask, FrameSizes } from "./pack-tasks.ts";
import { PartSlots, slotCount } from "./shared-parts.ts";

/**
 * Worker: compresses what comes in shared slots, in frames, until it is told to stop. The frames of a slot lie one behind the
 * other in the slot of the same number of the other memory; the main thread does not fill a slot before it has taken them.
 */
export function compressFrames(task: CompressTask): void {
  const zstd = openZstd(task.level);
  const slots = new PartSlots(task.plain);
  const compressed = new PartSlots(task.compressed);
  for (let job = 0; ; job++) {
    const slot = job % slotCount;
    slots.wait(slot, "full");
    const plain = slots.bytes(slot).subarray(0, slots.length(slot));
    const target = compressed.bytes(slot);
    const sizes: FrameSizes[] = [];
    let filled = 0;
    for (let offset = 0; offset < plain.length; offset += frameSize) {
      const piece = plain.subarray(offset, offset + frameSize);
      const size = zstd.compress(target.subarray(filled), piece);
      sizes.push({ size, plainSize: piece.length });
      filled += size;
    }
    slots.release(slot);
    task.port.postMessage(sizes);
  }
}
