import { createHash } from "node:crypto";
import { mkdir, open, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { type Major, majors } from "../helpers/postgres-programs.ts";
import { describeWith } from "../helpers/requirements.ts";
import { temporaryDirectory } from "../helpers/temp.ts";
import { clientProgram } from "../helpers/tools.ts";
import { createServedCluster } from "./helpers/served-cluster.ts";

describeWith(["pg-tools-18"], "pg_verifybackup", () => {
  test.each(majors)(
    "accepts what is restored of PostgreSQL %i, tablespaces included, and no longer when a byte of it is changed",
    async (major) => {
      await using source = await createServedCluster({ major });
      await using elsewhere = await temporaryDirectory("elsewhere");
      const location = join(source.directory, "tablespace");
      await mkdir(location);
      await source.cluster.start();
      await source.cluster.query(`CREATE TABLESPACE elsewhere LOCATION '${location}'`);
      await source.cluster.query("CREATE TABLE spaced TABLESPACE elsewhere AS SELECT generate_series(1, 10000) AS n");
      await source.cluster.query("CREATE UNLOGGED TABLE unlogged AS SELECT generate_series(1, 10000) AS n");
      const [table] = await source.cluster.query<{ path: string }>("SELECT pg_relation_filepath('spaced') AS path");
      await source.backup();
      const to = join(elsewhere.path, "moved");
      const { pgdata } = await source.restore("restored", "--tablespace", `${location}=${to}`);
      expect(await verify(pgdata, major)).toBe("accepted");
      const file = await open(join(pgdata, table?.path ?? ""), "r+");
      const byte = Buffer.alloc(1);
      await file.read(byte, 0, 1, 5000);
      byte.writeUInt8(byte.readUInt8() ^ 1);
      await file.write(byte, 0, 1, 5000);
      await file.close();
      expect(await verify(pgdata, major)).toContain(`checksum mismatch for file "${table?.path}"`);
    },
    60_000,
  );
});

/** "accepted", or what the program complains of. */
async function verify(pgdata: string, major: Major): Promise<string> {
  const program = await clientProgram("pg_verifybackup");
  const manifest = join(pgdata, "backup_manifest");
  // For a manifest of version 2 the program reads the control file, and can do that for its own major only: 18. What is left
  // of 17's then is every file.
  const path = major === 17 ? await asVersion1(manifest) : manifest;
  // WAL is in the repository, and restored clusters fetch it; there is none in the directory to be parsed.
  return program.run(["--no-parse-wal", "--exit-on-error", "--manifest-path", path, pgdata]).then(
    () => "accepted",
    (error: unknown) => String((error as { readonly stderr?: string }).stderr ?? error),
  );
}

/** A copy, outside the data directory, of the manifest without the identifier that version 2 added; its checksum is its own again. */
async function asVersion1(manifest: string): Promise<string> {
  const text = await readFile(manifest, "utf8");
  const [content = ""] = text
    .replace(/Version": 2,\n"System-Identifier": \d+,/, 'Version": 1,')
    .split('"Manifest-Checksum"');
  expect(content).toContain('"PostgreSQL-Backup-Manifest-Version": 1,\n"Files"');
  const checksum = createHash("sha256").update(content).digest("hex");
  const copy = join((await temporaryDirectory("manifest")).path, "backup_manifest");
  await writeFile(copy, `${content}"Manifest-Checksum": "${checksum}"}\n`);
  return copy;
}
