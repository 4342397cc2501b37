import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { DigestEngine } from "../../../src/repository/envelope/content-digest.ts";
import { contentDigestHex, newContentDigest } from "../../../src/repository/envelope/content-digest.ts";
import { projectDirectory } from "../../helpers/project.ts";

const engines: readonly DigestEngine[] = ["blake-hash", "noble"];

/** Official test vectors of BLAKE3: length of the input -> digest. Debian's b3sum says the same. */
const vectors: Readonly<Record<number, string>> = {
  0: "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
  1: "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213",
  1023: "10108970eeda3eb932baac1428c7a2163b0e924c9a9e25b35bba72b28f70bd11",
  1024: "42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7",
  1025: "d00278ae47eb27b34faecf67b4fe263f82d5412916c1ffd97c8cb7fb814b8444",
  2049: "5f4d72f40d7a5f82b15ca2b2e44b1de3c2ef86c426c95c1af0b6879522563030",
  102_400: "bc3e3d41a1146b069abffad3c0d44860cf664390afce4d9661f7902e7943e085",
};

/** The input of the test vectors. */
function pattern(length: number): Buffer {
  return Buffer.from(Array.from({ length }, (_, index) => index % 251));
}

function digestOf(pieces: readonly Uint8Array[], engine: DigestEngine): string {
  const digest = newContentDigest(engine);
  for (const piece of pieces) digest.update(piece);
  return digest.hex();
}

describe.each(engines)("the digest of content, by %s", (engine) => {
  test.each(Object.entries(vectors))("of %s bytes is BLAKE3's", (length, expected) => {
    expect(digestOf([pattern(Number(length))], engine)).toBe(expected);
  });

  test("of bytes in shared memory is the same", () => {
    const shared = Buffer.from(new SharedArrayBuffer(102_403)).subarray(3);
    pattern(102_400).copy(shared);
    expect(digestOf([shared.subarray(0, 70_001), shared.subarray(70_001)], engine)).toBe(vectors[102_400]);
  });

  test("of no piece at all is that of nothing", () => {
    expect(digestOf([], engine)).toBe(vectors[0]);
  });
});

test("both engines say the same, however the content is cut", () => {
  const length = fc.oneof(fc.nat(5000), fc.nat(300_000), fc.constantFrom(64, 1024, 2048, 131_072, 262_144));
  const cuts = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 6 });
  fc.assert(
    fc.property(length, cuts, fc.nat(255), (size, places, first) => {
      const content = pattern(size).map((byte) => (byte * 7 + first) % 256);
      const ends = [...places.map((place) => Math.floor(place * size)), size].toSorted((a, b) => a - b);
      const pieces = ends.map((end, index) => content.subarray(ends[index - 1] ?? 0, end));
      const whole = contentDigestHex(content);
      for (const engine of engines) expect(digestOf(pieces, engine)).toBe(whole);
    }),
    { numRuns: 60 },
  );
});

test("the addon is taken, and @noble/hashes only where it cannot be loaded", async () => {
  const module = join(projectDirectory, "src/repository/envelope/content-digest.ts");
  const script = `
    import Module, { createRequire } from "node:module";
    const load = Module._load;
    const missing = process.argv[1];
    Module._load = (name, ...rest) => {
      if (name === missing) throw new Error("not for this platform");
      return load(name, ...rest);
    };
    const { contentDigestHex } = await import(${JSON.stringify(module)});
    console.log(contentDigestHex(Buffer.of(0)));
    console.log(Object.keys(createRequire(import.meta.url).cache).filter((file) => /noble/.test(file)).length > 0);`;
  const run = async (missing: string): Promise<string> => {
    const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "-e", script, missing]);
    return stdout;
  };
  expect(await run("nothing")).toBe(`${vectors[1]}\nfalse\n`);
  expect(await run("@napi-rs/blake-hash")).toBe(`${vectors[1]}\ntrue\n`);
});
