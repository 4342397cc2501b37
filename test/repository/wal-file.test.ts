import { mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { ClusterIdentity } from "../../src/postgres/cluster-identity.ts";
import type { WalFileName } from "../../src/postgres/wal-file-name.ts";
import { contentDigestHex } from "../../src/repository/envelope/content-digest.ts";
import { readObjectHead } from "../../src/repository/envelope/object-head.ts";
import { openObject, sealObject } from "../../src/repository/envelope/whole-object.ts";
import type { KeyPair } from "../../src/repository/keys.ts";
import { generateKeyPair } from "../../src/repository/keys.ts";
import { openWalFile } from "../../src/repository/open-wal-file.ts";
import { sealWalFile } from "../../src/repository/seal-wal-file.ts";
import { temporaryDirectory } from "../helpers/temp.ts";
import { identity } from "./backup-fixture.ts";
import { segmentOf, segmentSize, walFileName } from "./wal-segment.ts";

const now = new Date("2026-11-20T10:00:00.123Z");
const settings = { level: 1, writer: "db1", now };
const { name, bytes } = segmentOf(identity, 5);

let one: KeyPair;
let two: KeyPair;
let directory: string;
let source: string;
let target: string;
beforeAll(async () => {
  one = await generateKeyPair();
  two = await generateKeyPair();
});
beforeEach(async () => {
  directory = (await temporaryDirectory()).path;
  source = join(directory, "source");
  target = join(directory, "out/target");
  await mkdir(join(directory, "out"));
  await writeFile(source, bytes);
});

async function sealOne(recipients: readonly string[] = [one.recipient]): Promise<Uint8Array> {
  const { bodies } = await sealWalFile(source, { ...settings, name, recipientSets: [recipients] });
  return bodies[0] ?? new Uint8Array();
}

interface Expected {
  readonly name?: WalFileName;
  readonly identity?: ClusterIdentity;
  readonly keys?: readonly string[];
}

function open(stored: Uint8Array, expected: Expected = {}): Promise<number> {
  return openWalFile(stored, target, {
    name: expected.name ?? name,
    identity: expected.identity ?? identity,
    encrypted: true,
    identities: expected.keys ?? [one.identity],
    key: "main/key",
  });
}

describe("a WAL file that is sealed", () => {
  test("once for each set of recipients is opened by the keys of that set alone", async () => {
    const sets = [[one.recipient], [two.recipient, one.recipient], []];
    const sealed = await sealWalFile(source, { ...settings, name, recipientSets: sets });
    expect(sealed).toMatchObject({ size: segmentSize, digest: contentDigestHex(bytes), identity });
    const [toOne, toBoth, toAll] = sealed.bodies;
    for (const [body, encrypted, identities] of [
      [toOne, true, [one.identity]],
      [toBoth, true, [one.identity]],
      [toBoth, true, [two.identity]],
      [toAll, false, []],
    ] as const) {
      const { plain, head } = await openObject(body ?? new Uint8Array(), { encrypted, identities });
      expect(Buffer.from(plain).equals(bytes)).toBe(true);
      expect(head).toEqual({ digest: sealed.digest, size: segmentSize, writer: "db1", written: now });
      expect(readObjectHead((body ?? new Uint8Array()).subarray(0, 1024))).toEqual(head);
    }
    const foreign = openObject(toOne ?? new Uint8Array(), { encrypted: true, identities: [two.identity] });
    await expect(foreign).rejects.toMatchObject({ code: "no-identity" });
  });

  test("is the very object that sealing its bytes in memory makes", async () => {
    const fromMemory = await sealObject(bytes, { ...settings, recipients: [] });
    expect(Buffer.from(await sealOne([])).equals(Buffer.from(fromMemory))).toBe(true);
  });

  test("lies in the memory that was given, or in its own when that is too small", async () => {
    for (const [size, fits] of [
      [2 * segmentSize, true],
      [1000, false],
    ] as const) {
      const memory = [new Uint8Array(size), new Uint8Array(size)];
      const recipientSets = [[one.recipient], []];
      const sealed = await sealWalFile(source, { ...settings, name, recipientSets, memory });
      for (const [index, body] of sealed.bodies.entries()) {
        expect(body.buffer === memory[index]?.buffer).toBe(fits);
        const encrypted = index === 0;
        const { plain } = await openObject(body, { encrypted, identities: [one.identity] });
        expect(Buffer.from(plain).equals(bytes)).toBe(true);
      }
    }
  });

  test("is refused when it is not what its name says", async () => {
    const cases: readonly (readonly [string, Buffer, string])[] = [
      [name.name, bytes.subarray(0, segmentSize - 1), "cut short"],
      [name.name, Buffer.alloc(segmentSize), "zeros"],
      [name.name, Buffer.alloc(0), "empty"],
      ["000000010000000000000006", bytes, "another segment"],
      [`${name.name}.partial`, bytes.subarray(0, 8192), "a short .partial"],
      ["00000002.history", Buffer.from("no history\n"), "text"],
    ];
    for (const [text, content, what] of cases) {
      await writeFile(source, content);
      const sealing = sealWalFile(source, { ...settings, name: walFileName(text), recipientSets: [[]] });
      await expect(sealing, what).rejects.toMatchObject({ code: "corrupt" });
    }
    const unknown = Buffer.from(bytes);
    unknown.writeUInt16LE(0xd1ff, 0);
    await writeFile(source, unknown);
    await expect(sealOne()).rejects.toMatchObject({ code: "corrupt", message: /unknown PostgreSQL version/ });
  });

  test("is refused as io, with a hint, when it is not there or cannot be read", async () => {
    const missing = sealWalFile(join(directory, "none"), { ...settings, name, recipientSets: [[]] });
    await expect(missing).rejects.toMatchObject({ code: "io", hint: expect.stringContaining("data directory") });
    const folder = sealWalFile(directory, { ...settings, name, recipientSets: [[]] });
    await expect(folder).rejects.toMatchObject({ code: "io", object: directory });
  });
});

describe("a stored WAL object that is opened into a file", () => {
  test("is the file that was sealed, for its owner's eyes alone, and replaces what was there", async () => {
    await writeFile(target, "something longer ".repeat(100_000), { mode: 0o600 });
    expect(await open(await sealOne())).toBe(segmentSize);
    expect((await readFile(target)).equals(bytes)).toBe(true);
    expect((await stat(target)).mode & 0o777).toBe(0o600);
  });

  test("comes back as any other WAL file does", async () => {
    const history = Buffer.from("1\t0/3000000\tno recovery target specified\n");
    for (const [text, content] of [
      [`${name.name}.partial`, bytes],
      ["00000002.history", history],
      [`${name.name}.00000028.backup`, Buffer.from("START WAL LOCATION\n")],
      [`${name.name}.00000028.backup`, Buffer.alloc(0)],
    ] as const) {
      await writeFile(source, content);
      const each = walFileName(text);
      const sealed = await sealWalFile(source, { ...settings, name: each, recipientSets: [[one.recipient]] });
      expect(sealed.identity).toEqual(each.kind === "partial" ? identity : undefined);
      expect(await open(sealed.bodies[0] ?? new Uint8Array(), { name: each })).toBe(content.length);
      expect((await readFile(target)).equals(content), text).toBe(true);
    }
  });

  test("is refused, and leaves no file, when it is damaged, foreign or not for these keys", async () => {
    const stored = await sealOne();
    const flipped = Buffer.from(stored);
    flipped.writeUInt8(flipped.readUInt8(stored.length >> 1) ^ 1, stored.length >> 1);
    const stranger: ClusterIdentity = { ...identity, systemIdentifier: 1n };
    // All is well but the digest in the head, which the MAC of its header covers: made by somebody who has the public key.
    const lying = Buffer.from(await sealObject(Buffer.from(bytes), { ...settings, recipients: [] }));
    lying.write("0".repeat(64), lying.indexOf("blake3=") + 7, "latin1");
    const refusals: readonly (readonly [string, () => Promise<number>, string])[] = [
      ["cut short", () => open(stored.subarray(0, -1)), "corrupt"],
      ["flipped", () => open(flipped), "corrupt"],
      ["of another name", () => open(stored, { name: walFileName("000000010000000000000006") }), "corrupt"],
      ["of another cluster", () => open(stored, { identity: stranger }), "identity-mismatch"],
      ["for other keys", () => open(stored, { keys: [two.identity] }), "no-identity"],
      ["without keys", () => open(stored, { keys: [] }), "no-identity"],
    ];
    for (const [what, opening, code] of refusals) {
      await expect(opening(), what).rejects.toMatchObject({ code, object: "main/key", hint: expect.any(String) });
    }
    const options = { name, identity, encrypted: false, identities: [] };
    await expect(openWalFile(lying, target, options)).rejects.toMatchObject({ code: "corrupt", object: name.name });
    expect(await readdir(join(directory, "out"))).toEqual([]);
  });

  test("is refused as io when the file cannot be written", async () => {
    const stored = await sealOne();
    const options = { name, identity, encrypted: true, identities: [one.identity] };
    const nowhere = join(directory, "none/target");
    await expect(openWalFile(stored, nowhere, options)).rejects.toMatchObject({ code: "io", object: nowhere });
  });
});
