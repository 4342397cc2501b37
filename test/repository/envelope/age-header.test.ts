import { createSecretKey, randomBytes } from "node:crypto";
import { Decrypter, Encrypter, generateHybridIdentity, identityToRecipient } from "age-encryption";
import { beforeAll, describe, expect, test } from "vitest";
import { makeHeader, openHeader } from "../../../src/repository/envelope/age-header.ts";
import { formatX25519Recipient } from "../../../src/repository/envelope/age-keys.ts";
import { decryptChunk, payloadKey } from "../../../src/repository/envelope/age-payload.ts";
import { formatHeader, parseHeader } from "../../../src/repository/envelope/age-stanzas.ts";
import type { Stanza } from "../../../src/repository/envelope/age-stanzas.ts";
import { publicKeyOf, wrapFileKey, X25519Identity } from "../../../src/repository/envelope/age-x25519.ts";
import { checkRecipient, generateKeyPair, recipientOf } from "../../../src/repository/keys.ts";
import type { KeyPair } from "../../../src/repository/keys.ts";

/** A text that the `age` program, 1.1.1, encrypted to two keys made for this test, and the second of them. */
const byAge = {
  identity: "AGE-SECRET-KEY-19FVVJ0WG9ANXS7Z7RVH3TW4TMHG3E25SZWFY8GEUHKDTEG55WLEQ8S0UQ3",
  recipient: "age1edvgu3aa8ngxqacut0wvuuts56j7238wvyum803dun4e0lksfvms5ka0tk",
  plain: "The quick brown fox",
  file: Buffer.from(
    "YWdlLWVuY3J5cHRpb24ub3JnL3YxCi0+IFgyNTUxOSA1WlFacStSZWRITEl0YTg4QlI3bGY4cjl5NXBPcW5QejQ1Z3pjaVRIRW1JClRUOFk2M1" +
      "ZPRThJSHplRnliOUw5OXBOd3dabmRSK1FyZU5neEg0OUVmN00KLT4gWDI1NTE5IEQwcU5QUEpXODFKaEEvMy9uOGdFK0lvazJVUDlhSkhMNjBR" +
      "b3BCRk01UWcKc0hzalVQSndFcnFtSnNJQkNBNUxWTSthOXVSa0grWmc5VVhsOVcvUDZzUQotLS0gRFloWGFzMEpyMnpPNUFCZU5TaWl2cE1uTD" +
      "huaCtaNXVOOEFTMWM1TnhydwoAl7CYWwDdqKKXcXgbHZD904Q8aMcmCeAmBp04aWTZ0q/ZyT3IdAIgSzqGhDDylnn6f7k=",
    "base64",
  ),
};

/** The points of small order on Curve25519, in each of their encodings: with any secret key they give zero. */
const smallOrder = [
  "00".repeat(32),
  `01${"00".repeat(31)}`,
  "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
  "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
  `ec${"ff".repeat(30)}7f`,
  `ed${"ff".repeat(30)}7f`,
  `ee${"ff".repeat(30)}7f`,
].map((hex) => Buffer.from(hex, "hex"));

let one: KeyPair;
let two: KeyPair;
let hybrid: KeyPair;
beforeAll(async () => {
  one = await generateKeyPair();
  two = await generateKeyPair();
  const identity = await generateHybridIdentity();
  hybrid = { identity, recipient: await identityToRecipient(identity) };
});

const head = { digest: "ab".repeat(32), size: 17, writer: "db1", written: new Date("2026-11-20T10:00:00.000Z") };

describe("an age header", () => {
  test("that the age program wrote is opened", async () => {
    const { size, key } = await openHeader(byAge.file, [one.identity, byAge.identity]);
    expect(decryptChunk(createSecretKey(key), 0, true, byAge.file.subarray(size)).toString()).toBe(byAge.plain);
    expect(await recipientOf(byAge.identity)).toBe(byAge.recipient);
  });

  test("is opened by the package of age's author with each of its keys, and the payload's key follows", async () => {
    const made = await makeHeader([one.recipient, two.recipient], head);
    for (const { identity } of [one, two]) {
      const decrypter = new Decrypter();
      decrypter.addIdentity(identity);
      const fileKey = await decrypter.decryptHeader(made.bytes.subarray(0, -16));
      expect(payloadKey(fileKey, made.bytes.subarray(-16))).toEqual(made.key);
    }
  });

  test("of the package is opened with each of its keys", async () => {
    const encrypter = new Encrypter();
    for (const { recipient } of [one, two]) encrypter.addRecipient(recipient);
    const file = await encrypter.encrypt("a text");
    for (const identities of [[one.identity], [two.identity], [hybrid.identity, two.identity]]) {
      const { size, key } = await openHeader(file, identities);
      expect(decryptChunk(createSecretKey(key), 0, true, file.subarray(size)).toString()).toBe("a text");
    }
  });

  test("to keys of another kind is made and opened, alone and among X25519 keys, in the order that was asked for", async () => {
    for (const pairs of [[hybrid], [one, hybrid], [hybrid, one, two]]) {
      const made = await makeHeader(
        pairs.map(({ recipient }) => recipient),
        head,
      );
      const types = parseHeader(made.bytes)?.stanzas.map(({ args }) => args[0]);
      expect(types).toEqual(["pgark/head-v1", ...pairs.map((pair) => (pair === hybrid ? "mlkem768x25519" : "X25519"))]);
      for (const { identity } of pairs) {
        expect(await openHeader(made.bytes, [identity])).toEqual({ size: made.bytes.length, key: made.key });
      }
      await expect(openHeader(made.bytes, [(await generateKeyPair()).identity])).rejects.toMatchObject({
        code: "no-identity",
      });
    }
    const toHybrid = await makeHeader([hybrid.recipient], head);
    await expect(openHeader(toHybrid.bytes, [one.identity])).rejects.toMatchObject({ code: "no-identity" });
  });

  test("has new keys each time, also for the same recipient", async () => {
    const [first, second] = [await makeHeader([one.recipient], head), await makeHeader([one.recipient], head)];
    expect(first.key).not.toEqual(second.key);
    expect(first.bytes.length).toBe(second.bytes.length);
    expect(parseHeader(first.bytes)?.stanzas[1]?.args).not.toEqual(parseHeader(second.bytes)?.stanzas[1]?.args);
  });

  test("whose MAC belongs to another one is corrupt, with whatever key of it", async () => {
    const { bytes } = await makeHeader([one.recipient, two.recipient], head);
    const text = Buffer.from(bytes).toString("latin1");
    for (const changed of [
      text.replace("size=17", "size=18"),
      text.replace(/-> X25519 [^\n]+\n[^\n]+\n/, ""),
      text.replace("---", "-> grease\n\n---"),
    ]) {
      await expect(openHeader(Buffer.from(changed, "latin1"), [two.identity])).rejects.toMatchObject({
        code: "corrupt",
      });
    }
  });
});

describe("a recipient stanza that nobody writes is corrupt", () => {
  const fileKey = randomBytes(16);
  const stanza = (): Stanza => wrapFileKey(publicKeyOf(randomBytes(32)), fileKey);
  const share = Buffer.alloc(32, 9).toString("base64").replace("=", "");

  test.each<[string, () => Stanza]>([
    ["without its share", () => ({ ...stanza(), args: ["X25519"] })],
    ["with one word more", () => ({ ...stanza(), args: [...stanza().args, "more"] })],
    ["with a short share", () => ({ ...stanza(), args: ["X25519", "AAAA"] })],
    ["with a long share", () => ({ ...stanza(), args: ["X25519", `${share}AA`] })],
    ["with a share that is not canonical", () => ({ ...stanza(), args: ["X25519", `${share.slice(0, -1)}l`] })],
    ["with a body that is short", () => ({ ...stanza(), body: randomBytes(31) })],
    ["with a body that is long", () => ({ ...stanza(), body: randomBytes(33) })],
  ])("%s", async (_what, make) => {
    const bytes = Buffer.concat([formatHeader([make()], fileKey), randomBytes(16)]);
    await expect(openHeader(bytes, [one.identity])).rejects.toMatchObject({ code: "corrupt" });
  });

  test.each(smallOrder.map((point) => [point.toString("hex"), point] as const))(
    "with a share of small order: %s",
    async (_hex, point) => {
      const args = ["X25519", point.toString("base64").replace("=", "")];
      const bytes = Buffer.concat([formatHeader([{ ...stanza(), args }], fileKey), randomBytes(16)]);
      await expect(openHeader(bytes, [one.identity])).rejects.toMatchObject({ code: "corrupt" });
    },
  );
});

test.each(smallOrder.map((point) => [point.toString("hex"), point] as const))(
  "nothing is ever encrypted to a point of small order, which would give the key away: %s",
  async (_hex, point) => {
    const recipient = formatX25519Recipient(point);
    await expect(checkRecipient(recipient)).rejects.toMatchObject({ code: "usage", object: recipient });
    await expect(makeHeader([one.recipient, recipient], head)).rejects.toMatchObject({ code: "usage" });
  },
);

test("the public key of a secret one is what RFC 7748 says (section 5.2, one iteration)", () => {
  const publicKey = "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079";
  expect(Buffer.from(publicKeyOf(Buffer.alloc(32).fill(9, 0, 1))).toString("hex")).toBe(publicKey);
});

test("a file key that was wrapped for one key is not unwrapped by another, and comes back by its own", () => {
  const secret = randomBytes(32);
  const fileKey = randomBytes(16);
  const stanzas = [
    { args: ["somebody/else", "x"], body: new Uint8Array(5) },
    wrapFileKey(publicKeyOf(randomBytes(32)), randomBytes(16)),
    wrapFileKey(publicKeyOf(secret), fileKey),
  ];
  expect(Buffer.from(new X25519Identity(secret).unwrapFileKey(stanzas) ?? []).equals(fileKey)).toBe(true);
  expect(new X25519Identity(randomBytes(32)).unwrapFileKey(stanzas)).toBeUndefined();
});

describe("the text of a header", () => {
  test("comes back, with bodies of any size", () => {
    for (const size of [0, 1, 47, 48, 49, 96, 500]) {
      const stanzas = [
        { args: ["a", "b"], body: randomBytes(size) },
        { args: ["c"], body: randomBytes(size) },
      ];
      const fileKey = randomBytes(16);
      const bytes = Buffer.concat([formatHeader(stanzas, fileKey), randomBytes(100)]);
      const parsed = parseHeader(bytes);
      expect(parsed?.size).toBe(bytes.length - 100);
      expect(parsed?.stanzas.map(({ args, body }) => ({ args, body: Buffer.from(body).toString("hex") }))).toEqual(
        stanzas.map(({ args, body }) => ({ args, body: body.toString("hex") })),
      );
      expect(parsed?.isAuthentic(fileKey)).toBe(true);
      expect(parsed?.isAuthentic(randomBytes(16))).toBe(false);
    }
  });

  const mac = "A".repeat(43);
  test.each([
    ["another version", `age-encryption.org/v2\n--- ${mac}\n`],
    ["no MAC", "age-encryption.org/v1\n-> a b\n\n"],
    ["a short MAC", `age-encryption.org/v1\n-> a b\n\n--- ${mac.slice(4)}\n`],
    ["padding", `age-encryption.org/v1\n-> a b\n\n--- ${mac}=\n`],
    ["a stanza without an end", `age-encryption.org/v1\n-> a b\n${"A".repeat(64)}\n--- ${mac}\n`],
    ["a line that is too long", `age-encryption.org/v1\n-> a b\n${"A".repeat(68)}\n\n--- ${mac}\n`],
    ["a line that belongs to nothing", `age-encryption.org/v1\nAAAA\n--- ${mac}\n`],
    ["an empty word", `age-encryption.org/v1\n-> a  b\n\n--- ${mac}\n`],
    ["no word at all", `age-encryption.org/v1\n->\n\n--- ${mac}\n`],
    ["carriage returns", `age-encryption.org/v1\r\n-> a b\r\n\r\n--- ${mac}\r\n`],
  ])("with %s is none", (_what, text) => {
    expect(parseHeader(Buffer.from(text, "latin1"))).toBeUndefined();
  });
});
