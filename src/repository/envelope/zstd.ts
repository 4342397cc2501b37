import { createRequire } from "node:module";
import zlib from "node:zlib";
import type * as Addon from "zstd-napi/binding.js";
import { PgarkError } from "../../errors.ts";

/**
 * Synchronous zstd on buffers that the caller owns. One frame a call, with the plain size and an xxh64 of the plain bytes in
 * the frame. Not shared between threads.
 */
export interface Zstd {
  /** Compresses `source` into one frame at the head of `target` (at least `compressBound` bytes); returns its size. */
  compress(target: Uint8Array, source: Uint8Array): number;
  /** Decompresses one whole frame into the head of `target`; returns the plain size. Throws `corrupt`. */
  decompress(target: Uint8Array, frame: Uint8Array): number;
}

/** The most bytes that a frame of `size` plain bytes can take (ZSTD_COMPRESSBOUND and some room for its header). */
export function compressBound(size: number): number {
  return size + (size >> 8) + 1024;
}

export const minCompressLevel = 1;
export const maxCompressLevel = 19;

export type ZstdEngine = "zstd-napi" | "node:zlib";

/** Opens the fastest zstd there is (the `zstd-napi` addon, else node's own), or the one named. Throws when there is none. */
export function openZstd(level: number, engine?: ZstdEngine): Zstd {
  switch (engine) {
    case "zstd-napi":
      return openAddon(level) ?? fail();
    case "node:zlib":
      return openBuiltin(level) ?? fail();
    default:
      return openAddon(level) ?? openBuiltin(level) ?? fail();
  }
}

/** Which engine `openZstd` takes, for `--version` and for bug reports. */
export function zstdEngine(): ZstdEngine | "none" {
  if (loadAddon() !== undefined) return "zstd-napi";
  return hasBuiltin() ? "node:zlib" : "none";
}

function fail(): never {
  throw new PgarkError("usage", "there is no zstd on this machine", {
    operation: "load zstd",
    hint:
      "either let npm build the optional package zstd-napi (it needs a C++ compiler, make and python3: " +
      '"npm rebuild zstd-napi"), or run Node 22.15 or later, which has zstd of its own',
  });
}

function loadAddon(): typeof Addon | undefined {
  try {
    return createRequire(import.meta.url)("zstd-napi/binding.js") as typeof Addon;
  } catch {
    return undefined; // an optional package: not installed, or its addon was not built
  }
}

function openAddon(level: number): Zstd | undefined {
  const addon = loadAddon();
  if (addon === undefined) return undefined;
  const compressor = new addon.CCtx();
  compressor.setParameter(addon.CParameter.compressionLevel, level);
  compressor.setParameter(addon.CParameter.checksumFlag, 1);
  const decompressor = new addon.DCtx();
  return {
    compress: (target, source) => compressor.compress2(target, source),
    decompress: (target, frame) => decoded(() => decompressor.decompress(target, frame)),
  };
}

function hasBuiltin(): boolean {
  return typeof zlib.zstdCompressSync === "function";
}

function openBuiltin(level: number): Zstd | undefined {
  if (!hasBuiltin()) return undefined;
  const params = {
    [zlib.constants.ZSTD_c_compressionLevel]: level,
    [zlib.constants.ZSTD_c_checksumFlag]: 1,
  };
  return {
    compress: (target, source) => {
      const frame = zlib.zstdCompressSync(source, { params, pledgedSrcSize: source.length });
      target.set(frame);
      return frame.length;
    },
    decompress: (target, frame) =>
      decoded(() => {
        const plain = zlib.zstdDecompressSync(frame, { maxOutputLength: Math.max(target.length, 1) });
        target.set(plain);
        return plain.length;
      }),
  };
}

function decoded(decompress: () => number): number {
  try {
    return decompress();
  } catch (error) {
    throw new PgarkError("corrupt", "the compressed data is damaged", { operation: "decompress", cause: error });
  }
}
