import { randomBytes } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { openHeader } from "../../../src/repository/envelope/age-header.ts";
import { chunkSize } from "../../../src/repository/envelope/age-payload.ts";
import { headFrame, readObjectHead } from "../../../src/repository/envelope/object-head.ts";
import { PayloadReader } from "../../../src/repository/envelope/payload-reader.ts";
import { sealObject } from "../../../src/repository/envelope/whole-object.ts";
import { openZstd } from "../../../src/repository/envelope/zstd.ts";
import { generateKeyPair, parseIdentityFile, recipientOf } from "../../../src/repository/keys.ts";
import { describeWith } from "../../helpers/requirements.ts";
import { temporaryDirectory } from "../../helpers/temp.ts";
import { findTool } from "../../helpers/tools.ts";

const seal = (plain: Uint8Array, recipients: readonly string[]): Promise<Uint8Array> =>
  sealObject(plain, { recipients, level: 1, writer: "db1", now: new Date("2026-11-20T10:00:00.123Z") });

describeWith(["age", "zstd"], "the age program", () => {
  let directory: string;
  let keyFile: string;
  let identity: string;
  let recipient: string;

  beforeAll(async () => {
    directory = (await temporaryDirectory("pgark-age")).path;
    keyFile = join(directory, "key");
    await (await findTool("age-keygen")).run(["-o", keyFile]);
    [identity = ""] = parseIdentityFile(await readFile(keyFile, "utf8"));
    recipient = (await (await findTool("age-keygen")).run(["-y", keyFile])).stdout.trim();
  });

  test("made a key whose public half is found", async () => {
    expect(await recipientOf(identity)).toBe(recipient);
  });

  test("opens what was encrypted to it among others, also where the last chunk is full, empty or holds a byte", async () => {
    const [age, zstd] = [await findTool("age"), await findTool("zstd")];
    const other = await generateKeyPair();
    const overhead = storedSize(await seal(randomBytes(60_000), [])) - 60_000;
    for (const size of [0, 1, chunkSize - overhead - 1, chunkSize - overhead, chunkSize - overhead + 1, 700_000]) {
      const plain = randomBytes(size);
      await writeFile(join(directory, "sealed"), await seal(plain, [other.recipient, recipient]));
      await age.run(["-d", "-i", keyFile, "-o", join(directory, "compressed"), join(directory, "sealed")]);
      await zstd.run(["-d", "-f", "-q", "-o", join(directory, "plain"), join(directory, "compressed")]);
      expect((await readFile(join(directory, "plain"))).equals(plain), `${size} bytes`).toBe(true);
    }
  });

  test("encrypts what is opened with each of the keys", async () => {
    const own = await generateKeyPair();
    for (const size of [0, 1000, chunkSize, 300_000]) {
      const plain = randomBytes(size);
      const stored = join(directory, "stored");
      await writeFile(stored, await seal(plain, []));
      await (
        await findTool("age")
      ).run(["-r", recipient, "-r", own.recipient, "-o", join(directory, "by-age"), stored]);
      const sealed = await readFile(join(directory, "by-age"));
      for (const key of [identity, own.identity]) expect((await openByHand(sealed, key)).equals(plain)).toBe(true);
    }
  });
});

/** Bytes of an object without encryption, but its head. */
function storedSize(object: Uint8Array): number {
  const head = readObjectHead(object);
  if (head === undefined) throw new Error("the object has no head");
  return object.length - headFrame(head).length;
}

/** age writes no head of ours: header and payload alone. */
async function openByHand(sealed: Buffer, identity: string): Promise<Buffer> {
  const { size, key } = await openHeader(sealed, [identity]);
  const pieces: Uint8Array[] = [];
  const reader = new PayloadReader({
    zstd: openZstd(1),
    key,
    plain: (bytes) => pieces.push(Uint8Array.from(bytes)),
  });
  reader.write(sealed.subarray(size));
  reader.end();
  return Buffer.concat(pieces);
}
