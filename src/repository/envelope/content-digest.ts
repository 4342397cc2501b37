import { createRequire } from "node:module";
import type * as Addon from "@napi-rs/blake-hash";
import type * as Noble from "@noble/hashes/blake3.js";
import { PgarkError } from "../../errors.ts";

/** The digest of plain content, as it stands in an object's head, of content that comes piece by piece. */
export interface ContentDigest {
  /** Takes the next bytes, which may lie in shared memory. They are not needed any more when this returns. */
  update(bytes: Uint8Array): void;
  /** The digest, 64 hexadecimal digits. To be called once, after the last piece. */
  hex(): string;
}

export type DigestEngine = "blake-hash" | "noble";

/**
 * Begins a digest: BLAKE3 of 256 bits, because every byte of WAL goes through it, on its way in and on its way out. 16 MiB
 * take 2.4 ms of a CPU with the addon of `@napi-rs/blake-hash`; SHA-256 takes 8.8 ms where the CPU has instructions for it.
 * Takes the addon, or where there is none for the platform `@noble/hashes`; or the engine named, and throws when it is not there.
 */
export function newContentDigest(engine?: DigestEngine): ContentDigest {
  switch (engine) {
    case "blake-hash":
      return openAddon() ?? fail();
    case "noble":
      return openNoble();
    default:
      return openAddon() ?? openNoble();
  }
}

/** The digest of content that is in memory, 64 hexadecimal digits. */
export function contentDigestHex(bytes: Uint8Array): string {
  const digest = newContentDigest();
  digest.update(bytes);
  return digest.hex();
}

function fail(): never {
  throw new PgarkError("usage", "the addon of @napi-rs/blake-hash is not there", { operation: "load BLAKE3" });
}

function loadAddon(): typeof Addon | undefined {
  // To learn which C library this is, the package asks for a report of the process. That would look up the name of every peer, which
  // may take seconds. Node's types do not know this setting yet.
  const report = process.report as { excludeNetwork?: boolean };
  const { excludeNetwork } = report;
  report.excludeNetwork = true;
  try {
    return createRequire(import.meta.url)("@napi-rs/blake-hash") as typeof Addon;
  } catch {
    return undefined; // not installed for this platform, or not made for it
  } finally {
    if (excludeNetwork !== undefined) report.excludeNetwork = excludeNetwork;
  }
}

function openAddon(): ContentDigest | undefined {
  const addon = loadAddon();
  if (addon === undefined) return undefined;
  const hasher = new addon.Blake3Hasher();
  return {
    update: ({ buffer, byteOffset, length }) => void hasher.update(Buffer.from(buffer, byteOffset, length)),
    hex: () => hasher.digest("hex"),
  };
}

/** JavaScript: 16 MiB take 240 ms. Loaded only here, for loading takes 5 ms. */
function openNoble(): ContentDigest {
  const { blake3 } = createRequire(import.meta.url)("@noble/hashes/blake3.js") as typeof Noble;
  const hasher = blake3.create();
  return { update: (bytes) => void hasher.update(bytes), hex: () => Buffer.from(hasher.digest()).toString("hex") };
}
