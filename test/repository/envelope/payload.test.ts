import { createHash, randomBytes } from "node:crypto";
import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { isPgarkError } from "../../../src/errors.ts";
import { makeHeader, openHeader } from "../../../src/repository/envelope/age-header.ts";
import type { SealedHeader } from "../../../src/repository/envelope/age-header.ts";
import { chunkSize, tagSize } from "../../../src/repository/envelope/age-payload.ts";
import { PayloadReader } from "../../../src/repository/envelope/payload-reader.ts";
import { frameSize, PayloadWriter } from "../../../src/repository/envelope/payload-writer.ts";
import { openZstd } from "../../../src/repository/envelope/zstd.ts";
import type { ZstdEngine } from "../../../src/repository/envelope/zstd.ts";
import { readFrame, skippableFrame } from "../../../src/repository/envelope/zstd-frames.ts";
import { generateKeyPair } from "../../../src/repository/keys.ts";
import { Random } from "../../helpers/random.ts";

const engines: readonly ZstdEngine[] = ["zstd-napi", "node:zlib"];
const edges = [0, 1, chunkSize - 1, chunkSize, chunkSize + 1, frameSize - 1, frameSize, frameSize + 1, 2 * frameSize];

let header: SealedHeader;
let identity: string;
beforeAll(async () => {
  const pair = await generateKeyPair();
  identity = pair.identity;
  header = await makeHeader([pair.recipient], undefined);
});

interface Form {
  readonly encrypted: boolean;
  readonly writeEngine?: ZstdEngine;
  readonly readEngine?: ZstdEngine;
}

function seal(pieces: Iterable<Uint8Array>, form: Form, seekable = true): Buffer {
  const stored: Uint8Array[] = [];
  const writer = new PayloadWriter({
    zstd: openZstd(1, form.writeEngine),
    header: form.encrypted ? header : undefined,
    write: (bytes) => stored.push(Uint8Array.from(bytes)),
  });
  for (const piece of pieces) writer.write(piece);
  writer.end(seekable);
  return Buffer.concat(stored);
}

function open(stored: Buffer, form: Form, split: (bytes: Buffer) => Iterable<Uint8Array> = (bytes) => [bytes]): Buffer {
  const pieces: Uint8Array[] = [];
  const reader = new PayloadReader({
    zstd: openZstd(1, form.readEngine),
    key: form.encrypted ? header.key : undefined,
    plain: (bytes) => pieces.push(Uint8Array.from(bytes)),
  });
  for (const piece of split(stored.subarray(form.encrypted ? header.bytes.length : 0))) reader.write(piece);
  reader.end();
  return Buffer.concat(pieces);
}

/** Half of it compresses well and half not at all, as pages do. */
function content(size: number, seed: number): Buffer {
  const random = new Random(seed);
  const bytes = Buffer.alloc(size, `row ${seed} `);
  for (let at = 0; at + 4 <= size; at += 4) if ((at >> 12) % 2 === 0) bytes.writeUInt32LE(random.below(2 ** 32), at);
  return bytes;
}

function* cut(bytes: Uint8Array, sizes: readonly number[]): Generator<Uint8Array> {
  let offset = 0;
  for (let turn = 0; offset < bytes.length; turn++) {
    const size = sizes[turn % sizes.length] ?? bytes.length;
    yield bytes.subarray(offset, offset + size);
    offset += size;
  }
}

const sizes = fc.oneof(
  fc.constantFrom(...edges),
  fc.tuple(fc.constantFrom(...edges), fc.integer({ min: -3, max: 3 })).map(([edge, more]) => Math.max(0, edge + more)),
  fc.integer({ min: 0, max: 400_000 }),
);
/** The first piece is never empty, so that cutting comes to an end. */
const cuts = fc.tuple(
  fc.integer({ min: 1, max: 200_000 }),
  fc.array(fc.integer({ min: 0, max: 200_000 }), { maxLength: 5 }),
);

describe.each([true, false])("the payload of an object, encrypted: %s", (encrypted) => {
  test.each(edges)("comes back whole at a size of %i", (size) => {
    const plain = content(size, size);
    expect(open(seal([plain], { encrypted }), { encrypted }).equals(plain)).toBe(true);
    expect(open(seal([plain], { encrypted }, false), { encrypted }).equals(plain)).toBe(true);
  });

  test("comes back whole, however it was cut when written and when read", () => {
    const comesBack = fc.property(
      sizes,
      cuts,
      cuts,
      fc.nat(),
      (size, [writeFirst, writeMore], [readFirst, readMore], seed) => {
        const plain = content(size, seed);
        const stored = seal(cut(plain, [writeFirst, ...writeMore]), { encrypted });
        return open(stored, { encrypted }, (bytes) => cut(bytes, [readFirst, ...readMore])).equals(plain);
      },
    );
    expect(fc.check(comesBack, { numRuns: 60 })).toMatchObject({ failed: false });
  });

  test("is the same, byte for byte, however it was cut when written", () => {
    const plain = content(300_000, 1);
    const whole = seal([plain], { encrypted });
    for (const size of [1000, 4096, 65_537, 131_072, 131_073]) {
      expect(seal(cut(plain, [size]), { encrypted }).equals(whole), `pieces of ${size}`).toBe(true);
    }
  });

  test("is read from pieces of one byte", () => {
    const plain = content(70_000, 2);
    expect(open(seal([plain], { encrypted }), { encrypted }, (bytes) => cut(bytes, [1])).equals(plain)).toBe(true);
  });

  test.each(engines.flatMap((writeEngine) => engines.map((readEngine) => [writeEngine, readEngine] as const)))(
    "written by %s, is read by %s",
    (writeEngine, readEngine) => {
      for (const size of [0, 1, 1000, frameSize, 3 * frameSize + 5]) {
        const plain = content(size, size);
        expect(open(seal([plain], { encrypted, writeEngine }), { encrypted, readEngine }).equals(plain)).toBe(true);
      }
    },
  );

  test.each(engines)(
    "when damaged, is refused by %s as corrupt and by no other error, or is what it was",
    (readEngine) => {
      const plain = content(600, 3);
      const stored = seal([plain], { encrypted });
      const start = encrypted ? header.bytes.length : 0;
      for (let at = start; at < stored.length; at++) {
        for (const flip of [0x01, 0x80]) {
          const damaged = Buffer.from(stored);
          damaged.writeUInt8(damaged.readUInt8(at) ^ flip, at);
          const outcome = attempt(() => open(damaged, { encrypted, readEngine }));
          // Without encryption, nothing watches over the seek table, which reading a whole object passes over.
          const passes = !encrypted && outcome instanceof Buffer && outcome.equals(plain) && at >= stored.length - 25;
          expect(outcome === "corrupt" || passes, `byte ${at} of ${stored.length}, ${String(outcome)}`).toBe(true);
        }
      }
    },
  );

  test.each(engines)("when cut short anywhere, is refused by %s as corrupt", (readEngine) => {
    const plain = content(600, 4);
    const stored = seal([plain], { encrypted }, false);
    const start = encrypted ? header.bytes.length : 1;
    for (let length = start; length < stored.length; length++) {
      expect(
        attempt(() => open(stored.subarray(0, length), { encrypted, readEngine })),
        `${length} bytes`,
      ).toBe("corrupt");
    }
  });

  test("with bytes after its end is refused as corrupt", () => {
    const stored = seal([content(600, 5)], { encrypted });
    for (const more of [1, 3, 16, 100_000]) {
      expect(attempt(() => open(Buffer.concat([stored, randomBytes(more)]), { encrypted }))).toBe("corrupt");
    }
  });
});

test("chunks of an encrypted payload cannot change places, be left out or come twice", () => {
  const stored = seal([randomBytes(400_000)], { encrypted: true });
  const start = header.bytes.length;
  const size = chunkSize + tagSize;
  const chunk = (index: number): Buffer => stored.subarray(start + index * size, start + (index + 1) * size);
  const head = stored.subarray(0, start);
  const rest = stored.subarray(start + 3 * size);
  const orders = [
    [1, 0, 2],
    [0, 2],
    [0, 0, 1, 2],
    [0, 1],
  ];
  expect(open(Buffer.concat([head, ...[0, 1, 2].map(chunk), rest]), { encrypted: true })).toHaveLength(400_000);
  for (const order of orders) {
    const shuffled = Buffer.concat([head, ...order.map(chunk), rest]);
    expect(
      attempt(() => open(shuffled, { encrypted: true })),
      order.join(),
    ).toBe("corrupt");
  }
  expect(attempt(() => open(Buffer.concat([head, ...[0, 1, 2].map(chunk)]), { encrypted: true }))).toBe("corrupt");
});

test("the header of an object opens the payload's key", async () => {
  const opened = await openHeader(Buffer.concat([header.bytes, randomBytes(100)]), [identity]);
  expect(Buffer.from(opened.key).equals(Buffer.from(header.key))).toBe(true);
  expect(opened.size).toBe(header.bytes.length);
});

test("skippable frames of any size are passed over without being held in memory", () => {
  const data = seal([content(1000, 7)], { encrypted: false }, false);
  const large = skippableFrame(new Uint8Array(40 * 1024 * 1024));
  const stored = Buffer.concat([large, data, skippableFrame(new Uint8Array(0)), large, data]);
  const before = process.memoryUsage().arrayBuffers;
  let most = 0;
  const twice = open(stored, { encrypted: false }, function* (bytes) {
    for (const piece of cut(bytes, [1_000_000])) {
      yield piece;
      most = Math.max(most, process.memoryUsage().arrayBuffers - before);
    }
  });
  expect(twice.equals(Buffer.concat([content(1000, 7), content(1000, 7)]))).toBe(true);
  expect(most).toBeLessThan(20 * 1024 * 1024);
  const short = stored.subarray(0, large.length - 1);
  expect(attempt(() => open(short, { encrypted: false }))).toBe("corrupt");
});

test("a frame that claims to be huge is refused before memory is asked for", () => {
  const frame = Buffer.from("28b52ffda0ffffff7f010000", "hex"); // single segment, plain size 2 GiB in four bytes
  expect(attempt(() => open(frame, { encrypted: false }))).toBe("corrupt");
});

test("every frame says its plain size and carries a checksum", () => {
  for (const engine of engines) {
    const stored = seal([content(3 * frameSize + 1, 8)], { encrypted: false, writeEngine: engine }, false);
    const plain: number[] = [];
    for (let offset = 0; offset < stored.length;) {
      const frame = readFrame(stored, offset);
      expect((stored.readUInt8(offset + 4) & 4) !== 0).toBe(true);
      plain.push(frame?.plainSize ?? Number.NaN);
      offset += frame?.size ?? Number.NaN;
    }
    expect(plain).toEqual([frameSize, frameSize, frameSize, 1]);
  }
});

test("the same plain bytes under the same key and level are the same frames: digests can be compared between runs", () => {
  const digest = (): string =>
    createHash("sha256")
      .update(seal([content(5000, 9)], { encrypted: false }))
      .digest("hex");
  expect(digest()).toBe(digest());
});

function attempt(work: () => Buffer): Buffer | string {
  try {
    return work();
  } catch (error) {
    return isPgarkError(error) ? error.code : String(error);
  }
}
