import { chmod, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { configSearchPath, parseConfig, readConfigFile } from "../../src/cli/config-file.ts";
import type { PgarkError } from "../../src/errors.ts";
import { temporaryDirectory } from "../helpers/temp.ts";

async function errorOf(text: string): Promise<PgarkError> {
  return parseConfig(text, "/etc/pgark/pgark.yaml").then(
    () => expect.unreachable("the text was accepted"),
    (error: unknown) => error as PgarkError,
  );
}

describe("pgark.yaml", () => {
  test("values come as their types, and paths are relative to the file", async () => {
    const values = await parseConfig(
      [
        "repository: file:///srv/pgark",
        "cluster: main # the one",
        "identity-file: keys/main.age",
        "recipients: [age1a, age1b]",
        "jobs: 3",
        "rate: 200MB/s",
        "wal-timeout: 10min",
        "json: off",
      ].join("\n"),
      "/etc/pgark/pgark.yaml",
    );
    expect(Object.fromEntries(values)).toEqual({
      repository: "file:///srv/pgark",
      cluster: "main",
      "identity-file": "/etc/pgark/keys/main.age",
      recipients: ["age1a", "age1b"],
      jobs: 3,
      rate: 200 * 2 ** 20,
      "wal-timeout": 600_000,
      json: false,
    });
  });

  test.each(["", "# nothing\n", "---\n"])("an empty file %j sets nothing", async (text) => {
    expect((await parseConfig(text, "/x")).size).toBe(0);
  });

  test.each([
    ["clutser: main", "cluster"],
    ["identity_file: /k", "identity-file"],
    ["identityFile: /k", "identity-file"],
    ["compress-levle: 1", "compress-level"],
    ["recipient: age1a", "recipients"],
  ])("the unknown key of %j is answered with the nearest one", async (text, key) => {
    const error = await errorOf(`jobs: 1\n${text}\n`);
    expect(error.code).toBe("usage");
    expect(error.object).toBe("/etc/pgark/pgark.yaml:2");
    expect(error.hint).toBe(`did you mean "${key}"?`);
  });

  test("a key that is like no other one gets the list of all", async () => {
    expect((await errorOf("zzzzzzzzzz: 1")).hint).toContain("repository, repositories");
  });

  test.each(["to: latest", "encrypt: true", "config: /x"])("%j is for the command line only", async (text) => {
    expect((await errorOf(text)).message).toContain("for the command line only");
  });

  test.each([
    ["jobs: many", '"many" is not a whole number'],
    ["jobs: 1.5", "not a whole number"],
    ["jobs: true", "found the boolean true"],
    ["jobs: [1]", "found a list"],
    ["cluster: 17", "expected text, found the number 17"],
    ["cluster:", "has no value"],
    ["recipients: {a: b}", "expected a list of texts, found a mapping"],
    ["recipients: [1]", "expected a list of texts"],
    ["json: 3", "expected true or false"],
    ["wal-timeout: 600", "expected duration"],
    ["log-level: loud", "debug, info, warn, silent"],
    ["repository: somewhere", "not the URL of a repository"],
  ])("%j is a wrong value and says so with its line", async (text, says) => {
    const error = await errorOf(`\n${text}`);
    expect(error.message).toContain(says);
    expect(error.object).toBe("/etc/pgark/pgark.yaml:2");
  });

  test.each([
    ["cluster: a\ncluster: b", ":2"],
    ["cluster: [", ":1"],
    ["- a\n- b", ":1"],
    ["just text", ":1"],
  ])("what is no mapping, %j, is refused with its line", async (text, line) => {
    expect((await errorOf(text)).object).toContain(line);
  });

  test("a value that may hold a password is not repeated", async () => {
    expect((await errorOf("dbname: [hunter2]")).message).not.toContain("hunter2");
  });
});

describe("where it is looked for", () => {
  test("never in the working directory, and /etc goes before the user's own", () => {
    expect(configSearchPath({ env: {}, homeDirectory: "/home/a" })).toEqual([
      "/etc/pgark/pgark.yaml",
      "/home/a/.config/pgark/pgark.yaml",
    ]);
    expect(configSearchPath({ env: { XDG_CONFIG_HOME: "/x" }, homeDirectory: "/home/a" })[1]).toBe(
      "/x/pgark/pgark.yaml",
    );
    expect(configSearchPath({ env: { XDG_CONFIG_HOME: "relative" }, homeDirectory: undefined })).toHaveLength(1);
  });

  test("the first file that exists is the one", async () => {
    await using directory = await temporaryDirectory();
    const [first, second] = [join(directory.path, "1"), join(directory.path, "2")];
    await writeFile(second, "cluster: two");
    expect((await readConfigFile(undefined, [first, second]))?.path).toBe(second);
    await writeFile(first, "cluster: one");
    expect((await readConfigFile(undefined, [first, second]))?.values.get("cluster")).toBe("one");
    expect(await readConfigFile(undefined, [join(directory.path, "3")])).toBeUndefined();
  });

  test("a file that is named must exist", async () => {
    await expect(readConfigFile("/nowhere/pgark.yaml", [])).rejects.toMatchObject({
      code: "usage",
      object: "/nowhere/pgark.yaml",
    });
  });

  test("a file that is there and cannot be read is an error, not passed over", async () => {
    await using directory = await temporaryDirectory();
    const unreadable = join(directory.path, "pgark.yaml");
    await mkdir(unreadable);
    await chmod(unreadable, 0o700);
    await expect(readConfigFile(undefined, [unreadable])).rejects.toMatchObject({ code: "io" });
  });
});
