import { randomBytes } from "node:crypto";
import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { isPgarkError } from "../../../src/errors.ts";
import { contentDigestHex } from "../../../src/repository/envelope/content-digest.ts";
import { headReadSize, readObjectHead } from "../../../src/repository/envelope/object-head.ts";
import { openObject, sealObject } from "../../../src/repository/envelope/whole-object.ts";
import type { KeyPair } from "../../../src/repository/keys.ts";
import { generateKeyPair } from "../../../src/repository/keys.ts";

let pair: KeyPair;
let other: KeyPair;
beforeAll(async () => {
  pair = await generateKeyPair();
  other = await generateKeyPair();
});

const now = new Date("2026-11-20T10:00:00.123Z");
const plain = Buffer.from("a timeline history\n".repeat(20));

function seal(bytes: Uint8Array, encrypted: boolean, writer = "db1.example"): Promise<Uint8Array> {
  return sealObject(bytes, { recipients: encrypted ? [pair.recipient, other.recipient] : [], level: 1, writer, now });
}

async function outcomeOf(stored: Uint8Array, encrypted: boolean): Promise<string> {
  try {
    const opened = await openObject(stored, { encrypted, identities: [pair.identity] });
    return Buffer.from(opened.plain).equals(plain) ? "same" : "OTHER CONTENT";
  } catch (error) {
    if (!isPgarkError(error)) throw error;
    return error.code;
  }
}

describe.each([true, false])("a whole object, encrypted: %s", (encrypted) => {
  test("comes back with its head", async () => {
    for (const bytes of [new Uint8Array(), plain, randomBytes(200_000)]) {
      const stored = await seal(bytes, encrypted);
      const opened = await openObject(stored, { encrypted, identities: [pair.identity] });
      expect(Buffer.from(opened.plain).equals(Buffer.from(bytes))).toBe(true);
      expect(opened.head).toEqual({
        digest: contentDigestHex(bytes),
        size: bytes.length,
        writer: "db1.example",
        written: now,
      });
    }
  });

  test("tells its head without keys, from its first bytes alone", async () => {
    const stored = await seal(plain, encrypted);
    const head = { digest: contentDigestHex(plain), size: plain.length, writer: "db1.example", written: now };
    expect(readObjectHead(stored.subarray(0, headReadSize))).toEqual(head);
  });

  test("has a head that can be read, whatever the host is called", async () => {
    const name = fc.oneof(
      fc.string({ unit: "binary", maxLength: 300 }),
      fc.string({ unit: "grapheme", maxLength: 300 }),
    );
    await fc.assert(
      fc.asyncProperty(name, async (writer) => {
        const stored = await seal(plain, encrypted, writer);
        const head = readObjectHead(stored.subarray(0, headReadSize));
        expect(head?.digest).toBe(contentDigestHex(plain));
        expect(head?.writer === "-" || writer.toWellFormed().startsWith(head?.writer ?? "?")).toBe(true);
        expect(await outcomeOf(stored, encrypted)).toBe("same");
      }),
      { numRuns: 40 },
    );
  });

  test("cut short anywhere is refused", async () => {
    const stored = await seal(plain, encrypted);
    for (let length = 0; length < stored.length; length++) {
      expect(await outcomeOf(stored.subarray(0, length), encrypted), `${length} bytes`).toMatch(
        /^corrupt|no-identity$/,
      );
    }
  }, 60_000);

  test("with any byte changed is refused, or what changed is only who wrote it and when", async () => {
    const stored = await seal(plain, encrypted);
    const text = Buffer.from(stored).toString("latin1");
    const informal = encrypted ? [] : [text.indexOf("writer="), text.indexOf("Z", text.indexOf("written=")) + 1];
    const [from = -1, to = -1] = informal;
    for (let at = 0; at < stored.length; at++) {
      const damaged = Buffer.from(stored);
      damaged.writeUInt8(damaged.readUInt8(at) ^ 0x02, at);
      const outcome = await outcomeOf(damaged, encrypted);
      // The kind of a skippable frame is four bits that mean nothing.
      const harmless = !encrypted && outcome === "same" && ((at >= from && at < to) || at === 0);
      expect(harmless || outcome === "corrupt" || outcome === "no-identity", `byte ${at}: ${outcome}`).toBe(true);
    }
  }, 60_000);
});

test("the head and content of two objects cannot be mixed", async () => {
  const one = await seal(plain, false);
  const two = await seal(Buffer.from("other"), false);
  const frame = (bytes: Uint8Array): number => 8 + Buffer.from(bytes).readUInt32LE(4);
  const mixed = Buffer.concat([one.subarray(0, frame(one)), two.subarray(frame(two))]);
  expect(await outcomeOf(mixed, false)).toBe("corrupt");
});

test("an encrypted object says what is missing when there is no key, another key, or a broken one, without repeating it", async () => {
  const stored = await seal(plain, true);
  const stranger = await generateKeyPair();
  const broken = pair.identity.slice(0, -3) + (pair.identity.endsWith("QQQ") ? "PPP" : "QQQ");
  for (const identities of [[], [stranger.identity], [broken], ["AGE-SECRET-KEY-1SHORT"]]) {
    const error: unknown = await openObject(stored, { encrypted: true, identities }).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ name: "PgarkError", code: "no-identity", hint: expect.stringContaining("identity") });
    const told = everything(error);
    for (const secret of identities) expect(told.toUpperCase()).not.toContain(secret.slice(16, 40).toUpperCase());
  }
  const opened = await openObject(stored, { encrypted: true, identities: [stranger.identity, other.identity] });
  expect(Buffer.from(opened.plain).equals(plain)).toBe(true);
});

test("an object that is not of the form that was asked for is corrupt", async () => {
  expect(await outcomeOf(await seal(plain, false), true)).toBe("corrupt");
  expect(await outcomeOf(await seal(plain, true), false)).toBe("corrupt");
});

test("a head without a date, digest or size, or of another kind, is none", () => {
  const line = (words: string): Uint8Array => Buffer.from(`age-encryption.org/v1\n-> ${words}\n\n`);
  const digest = `blake3=${"0".repeat(64)}`;
  expect(
    readObjectHead(line(`pgark/head-v1 ${digest} size=1 writer=a written=2026-11-20T10:00:00.000Z`)),
  ).toBeDefined();
  expect(readObjectHead(line(`pgark/head-v1 ${digest} size=1 writer=a written=never`))).toBeUndefined();
  expect(readObjectHead(line(`pgark/head-v1 ${digest} size=1 writer=a`))).toBeUndefined();
  expect(readObjectHead(line(`pgark/head-v1 ${digest} writer=a written=2026-11-20T10:00:00.000Z`))).toBeUndefined();
  expect(readObjectHead(line(`pgark/head-v1 size=1 writer=a written=2026-11-20T10:00:00.000Z`))).toBeUndefined();
  expect(readObjectHead(line(`X25519 ${digest} size=1 written=2026-11-20T10:00:00.000Z`))).toBeUndefined();
  expect(readObjectHead(new Uint8Array())).toBeUndefined();
  expect(readObjectHead(randomBytes(2000))).toBeUndefined();
});

/** An error with all that hangs on it, as a careless logger would print it. */
function everything(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return `${error.stack} ${JSON.stringify(error)} ${error.cause === undefined ? "" : everything(error.cause)}`;
}
