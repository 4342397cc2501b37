import { execFile } from "node:child_process";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openCluster } from "../helpers/cluster.ts";
import type { Major } from "../helpers/postgres-programs.ts";
import { plainEnvironment, projectDirectory } from "../helpers/project.ts";
import { describeWith } from "../helpers/requirements.ts";
import { type BackupAnswer, createServedCluster, type ServedCluster, untilOpen } from "./helpers/served-cluster.ts";

const run = promisify(execFile);
const rows = 20_000;

/** Everything is done by age, zstd, tar and the like; pgark only wrote. */
describeWith(["age", "zstd"], "standard tools alone", () => {
  describe.each([
    { major: 17, encrypt: true, how: "local" },
    { major: 18, encrypt: false, how: "local" },
    { major: 17, encrypt: false, how: "remote" },
    { major: 18, encrypt: true, how: "remote" },
  ] as const)("of PostgreSQL $major, encrypted: $encrypt, taken $how", (each) => {
    describeRepository(each);
  });
});

interface Case {
  readonly major: Major;
  readonly encrypt: boolean;
  readonly how: "local" | "remote";
}

interface KeptSegment {
  readonly name: string;
  readonly bytes: Buffer;
}

function describeRepository({ major, encrypt, how }: Case): void {
  let source: ServedCluster;
  let answer: BackupAnswer;
  let segment: KeptSegment;
  let life: string;
  let location: string;

  beforeAll(async () => {
    source = await createServedCluster({ major, encrypt });
    location = join(source.directory, "table space");
    await mkdir(location);
    await source.cluster.start();
    const fill = `SELECT n, md5(n::text) FROM generate_series(1, ${rows}) AS n`;
    await source.cluster.query(`CREATE TABLE plain (id int, text text)`);
    await source.cluster.query(`CREATE TABLESPACE elsewhere LOCATION '${location}'`);
    await source.cluster.query(`CREATE TABLE spaced (id int, text text) TABLESPACE elsewhere`);
    await source.cluster.query(`INSERT INTO plain ${fill}`);
    await source.cluster.query(`INSERT INTO spaced ${fill}`);
    answer = await source.backup(...(how === "remote" ? ["--remote"] : []));
    await source.cluster.query(`INSERT INTO plain SELECT -n, 'after the backup' FROM generate_series(1, 500) AS n`);
    const [row] = await source.cluster.query<{ name: string }>("SELECT pg_walfile_name(pg_current_wal_lsn()) AS name");
    const name = row?.name ?? "";
    await source.archiveAll();
    segment = { name, bytes: await readFile(join(source.cluster.pgdata, "pg_wal", name)) };
    const [found = ""] = (await readdir(join(source.repositoryDirectory, "main"))).filter((each) => /^\d/.test(each));
    life = join(source.repositoryDirectory, "main", found);
  }, 120_000);
  afterAll(() => source.cluster.stop("immediate"));

  const suffix = encrypt ? ".zst.age" : ".zst";
  const identity = (): string => (encrypt ? join(source.directory, "identity") : "");

  const walObject = (): string =>
    join(life, "wal", segment.name.slice(0, 8), segment.name.slice(8, 16), `${segment.name}${suffix}`);

  const opening = encrypt ? 'age -d -i "$1" "$2" | zstd -d' : 'zstd -d < "$2"';

  /** What the tools make of an object: `age -d | zstd -d`, or `zstd -d` alone. */
  async function opened(object: string): Promise<Buffer> {
    return (await bash(`set -o pipefail; ${opening}`, [identity(), object])).stdout;
  }

  test("a WAL object opens to the segment, byte for byte", async () => {
    const object = walObject();
    expect((await opened(object)).equals(segment.bytes)).toBe(true);
    const head = (await readFile(object)).subarray(0, 1024).toString("latin1");
    // A stanza before all others, or the magic number of a skippable frame and its length.
    const begin = encrypt ? "age-encryption.org/v1\n-> pgark/head-v1 " : "P*M\x18";
    expect(head.slice(0, begin.length)).toBe(begin);
    expect(head.indexOf("pgark/head-v1 blake3=")).toBe(encrypt ? 25 : 8);
    expect(head).toContain(` size=${segment.bytes.length} `);
  });

  describeWith(["b3sum"], "b3sum", () => {
    test("computes the digest that a WAL object has at its head", async () => {
      const object = walObject();
      const head = (await readFile(object)).subarray(0, 1024).toString("latin1");
      const { stdout } = await bash(`set -o pipefail; ${opening} | b3sum`, [identity(), object]);
      expect(head).toContain(` blake3=${stdout.toString().slice(0, 64)} `);
    });
  });

  test("an object with a changed byte is opened by no tool", async () => {
    const object = walObject();
    const bytes = await readFile(object);
    bytes.writeUInt8(bytes.readUInt8(bytes.length >> 1) ^ 1, bytes.length >> 1);
    const damaged = join(source.directory, "damaged");
    await writeFile(damaged, bytes);
    await expect(opened(damaged)).rejects.toThrow(/Command failed/);
  });

  test("the manifest opens to lines that name every pack, and each pack to a tar of its files", async () => {
    const folder = join(life, "backups", answer.backup.label);
    const lines = (await opened(join(folder, `manifest.jsonl${suffix}`))).toString("utf8").trimEnd().split("\n");
    const parsed = lines.map((line) => JSON.parse(line) as Readonly<Record<string, unknown>>);
    const packs = parsed.filter(({ type }) => type === "pack").map(({ name }) => String(name));
    expect(packs.toSorted((a, b) => (a < b ? -1 : 1))).toEqual(
      (await readdir(join(folder, "data"))).map((name) => `data/${name}`),
    );
    const inTar: string[] = [];
    for (const pack of packs) {
      const { stdout } = await bash(
        'set -o pipefail; if [ "$1" ]; then age -d -i "$1" "$2"; else cat "$2"; fi | zstd -d | tar -t',
        [identity(), join(folder, pack)],
      );
      inTar.push(
        ...stdout
          .toString("utf8")
          .split("\n")
          .filter((name) => name !== "" && !name.endsWith("/")),
      );
    }
    const files = parsed.filter(({ type }) => type === "file").map(({ path }) => String(path));
    expect(inTar.toSorted((a, b) => (a < b ? -1 : 1))).toEqual(files.toSorted((a, b) => (a < b ? -1 : 1)));
    expect(files).toContain("global/pg_control");
    expect(files).toContain("backup_label");
  });

  test("the seek table of a pack gives every frame's place: a file is read from the frames that hold it alone", async () => {
    const folder = join(life, "backups", answer.backup.label);
    const lines = (await opened(join(folder, `manifest.jsonl${suffix}`))).toString("utf8").trimEnd().split("\n");
    const parsed = lines.map((line) => JSON.parse(line) as Readonly<Record<string, unknown>>);
    const pack = parsed.find(({ type, pack: number }) => type === "pack" && number === 0);
    // What lies in the age file is the compressed tar with its table at the end.
    const object = join(folder, String(pack?.["name"]));
    const compressed = encrypt
      ? (await bash('age -d -i "$1" "$2"', [identity(), object])).stdout
      : await readFile(object);
    const frames = readSeekTable(compressed);
    expect(frames.length).toBeGreaterThan(10);
    const tar = await opened(object);
    expect(frames.at(-1)?.plainEnd).toBe(tar.length);
    for (const index of [0, 1, frames.length >> 1, frames.length - 1]) {
      const frame = frames[index];
      if (frame === undefined) throw new Error("no such frame");
      const alone = join(source.directory, "frame.zst");
      await writeFile(alone, compressed.subarray(frame.begin, frame.end));
      const { stdout } = await bash('zstd -d < "$1"', [alone]);
      expect(stdout.equals(tar.subarray(frame.plainBegin, frame.plainEnd)), `frame ${index}`).toBe(true);
    }
  });

  test("the written recipe, run as it stands in the documentation, brings the cluster back with every row", async () => {
    await source.cluster.stop();
    await rm(location, { recursive: true });
    const pgdata = join(source.directory, "by hand");
    const env = {
      REPOSITORY: join(source.repositoryDirectory, "main"),
      LIFE: life.slice(life.lastIndexOf("/") + 1),
      LABEL: answer.backup.label,
      IDENTITY: identity(),
      PGDATA: pgdata,
    };
    await bash(await recipe(), [], env);
    const restored = await openCluster({ major }, pgdata);
    try {
      await restored.start();
      await untilOpen(restored);
      const count = "SELECT count(*)::int AS n, count(DISTINCT text)::int AS texts FROM";
      expect(await restored.query(`${count} plain WHERE id > 0`)).toEqual([{ n: rows, texts: rows }]);
      expect(await restored.query(`${count} spaced`)).toEqual([{ n: rows, texts: rows }]);
      expect(await restored.query(`${count} plain WHERE id < 0`)).toEqual([{ n: 500, texts: 1 }]);
      const where = "SELECT pg_tablespace_location(oid) AS location FROM pg_tablespace WHERE spcname = 'elsewhere'";
      expect(await restored.query(where)).toEqual([{ location }]);
      expect(await restored.query("SHOW archive_mode")).toEqual([{ archive_mode: "off" }]);
    } finally {
      await restored.stop("immediate");
    }
  }, 120_000);
}

interface Frame {
  readonly begin: number;
  readonly end: number;
  readonly plainBegin: number;
  readonly plainEnd: number;
}

/** After the words of zstd's contrib/seekable_format/zstd_seekable_compression_format.md, not after pgark's own sources. */
function readSeekTable(bytes: Buffer): readonly Frame[] {
  expect(bytes.readUInt32LE(bytes.length - 4), "Seekable_Magic_Number").toBe(0x8f92eab1);
  expect(bytes.readUInt8(bytes.length - 5), "Seek_Table_Descriptor: no checksums").toBe(0);
  const count = bytes.readUInt32LE(bytes.length - 9);
  const tableSize = count * 8 + 9;
  const table = bytes.length - tableSize;
  expect(bytes.readUInt32LE(table - 8), "Skippable_Magic_Number").toBe(0x184d2a5e);
  expect(bytes.readUInt32LE(table - 4), "Frame_Size").toBe(tableSize);
  const frames: Frame[] = [];
  let begin = 0;
  let plainBegin = 0;
  for (let index = 0; index < count; index++) {
    const end = begin + bytes.readUInt32LE(table + index * 8);
    const plainEnd = plainBegin + bytes.readUInt32LE(table + index * 8 + 4);
    frames.push({ begin, end, plainBegin, plainEnd });
    [begin, plainBegin] = [end, plainEnd];
  }
  expect(begin, "the frames fill what lies before the table").toBe(table - 8);
  return frames;
}

/** The shell block that follows the recipe's heading. */
async function recipe(): Promise<string> {
  const text = await readFile(join(projectDirectory, "docs/repository-format.md"), "utf8");
  const section = text.slice(text.indexOf("## A full backup by hand"));
  const block = /```bash\n(.*?)\n```/s.exec(section)?.[1];
  if (block === undefined) throw new Error("docs/repository-format.md has no recipe");
  return block;
}

async function bash(
  script: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<{ readonly stdout: Buffer; readonly stderr: Buffer }> {
  return run("bash", ["-c", script, "bash", ...args], {
    encoding: "buffer",
    maxBuffer: 1 << 30,
    env: plainEnvironment(env),
  });
}
