import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { createCluster } from "./cluster.ts";
import { describeWith } from "./requirements.ts";
import { temporaryDirectory } from "./temp.ts";
import { clientProgram, debianClientProgram, findTool } from "./tools.ts";

describeWith(["pg-tools-18"], "the client programs of PostgreSQL 18", () => {
  test("take and verify a base backup, and notice a changed file", async () => {
    await using directory = await temporaryDirectory();
    await using cluster = await createCluster({ major: 18, directory: directory.path });
    await cluster.start();
    const backup = join(directory.path, "backup");
    const takeBackup = await clientProgram("pg_basebackup");
    await takeBackup.run(["--dbname", cluster.connectionString, "--pgdata", backup, "--checkpoint=fast", "--no-sync"]);
    const verify = await clientProgram("pg_verifybackup");
    expect((await verify.run([backup])).stdout).toContain("backup successfully verified");
    await writeFile(join(backup, "PG_VERSION"), "81\n");
    await expect(verify.run([backup])).rejects.toThrow('checksum mismatch for file "PG_VERSION"');
  });

  test("connect with their own libpq", async () => {
    await using directory = await temporaryDirectory();
    await using cluster = await createCluster({ major: 14, directory: directory.path });
    await cluster.start();
    const psql = await clientProgram("psql");
    expect((await psql.run(["--version"])).stdout).toContain("18.4");
    const answer = await psql.run(["--no-psqlrc", "-Atc", "select 6 * 7", cluster.connectionString]);
    expect(answer.stdout).toBe("42\n");
  });
});

describeWith(["postgresql-15"], "Debian's client programs", () => {
  test("are PostgreSQL 15", async () => {
    expect((await debianClientProgram("psql").run(["--version"])).stdout).toContain("(PostgreSQL) 15");
  });
});

describeWith(["age", "zstd", "pgbackrest"], "the standard programs", () => {
  test.each([
    ["age", "--version", /\d+\.\d+/],
    ["age-keygen", "--version", /\d+\.\d+/],
    ["zstd", "--version", /Zstandard/],
    ["tar", "--version", /GNU tar/],
    ["pgbackrest", "version", /pgBackRest \d/],
  ] as const)("include %s", async (name, argument, version) => {
    const { stdout, stderr } = await (await findTool(name)).run([argument]);
    expect(stdout + stderr).toMatch(version);
  });
});
