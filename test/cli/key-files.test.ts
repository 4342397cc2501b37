import { readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { readKeyFile, writeKeyFile } from "../../src/cli/key-files.ts";
import { Secret } from "../../src/cli/secret.ts";
import { PgarkError } from "../../src/errors.ts";
import { generateKeyPair } from "../../src/repository/keys.ts";
import { temporaryDirectory } from "../helpers/temp.ts";

describe("key files", () => {
  test("can be read by their owner only, and read back as they were written", async () => {
    await using directory = await temporaryDirectory();
    const path = join(directory.path, "new/keys/main.age");
    const pair = await generateKeyPair();
    await writeKeyFile(path, new Secret(pair.identity), pair.recipient, "a comment");
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect((await readKeyFile(path))?.map((key) => key.reveal())).toEqual([pair.identity]);
  });

  test("are never overwritten, whatever they hold", async () => {
    await using directory = await temporaryDirectory();
    const path = join(directory.path, "main.age");
    await writeFile(path, "");
    const pair = await generateKeyPair();
    await expect(writeKeyFile(path, new Secret(pair.identity), pair.recipient, "x")).rejects.toMatchObject({
      code: "exists",
      object: path,
    });
    expect(await readFile(path, "utf8")).toBe("");
  });

  test("that do not exist are undefined, those that cannot be read an error", async () => {
    await using directory = await temporaryDirectory();
    expect(await readKeyFile(join(directory.path, "none"))).toBeUndefined();
    await expect(readKeyFile(directory.path)).rejects.toMatchObject({ code: "io" });
  });

  test("that are broken are refused without a word of what is in them", async () => {
    await using directory = await temporaryDirectory();
    const path = join(directory.path, "broken");
    await writeFile(path, "AGE-SECRET-KEY-1BROKEN!\n");
    const error: unknown = await readKeyFile(path).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(PgarkError);
    expect(error).toMatchObject({ code: "usage", object: path });
    expect((error as PgarkError).cause).toBeUndefined();
    expect((error as PgarkError).message).not.toContain("BROKEN");
  });
});
