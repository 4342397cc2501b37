import { chmod, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parseControlFile, readClusterIdentity, readControlFile } from "../../src/postgres/control-file.ts";
import { temporaryDirectory } from "../helpers/temp.ts";
import { controlFileBytes } from "./control-file-bytes.ts";
import { thrownBy } from "./errors.ts";

describe("pg_control", () => {
  test.each([1300, 1700, 1800])("of version %d is read", (controlVersion) => {
    expect(parseControlFile(controlFileBytes({ controlVersion }))).toEqual({
      systemIdentifier: 7_500_000_000_000_000_000n,
      controlVersion,
      catalogVersion: 202406281,
      state: "in production",
      modified: 1_700_000_000,
      checkpointLsn: 0x2000060n,
      redoLsn: 0x2000028n,
      timeline: 3,
      minRecoveryPoint: 0n,
      minRecoveryTimeline: undefined,
      dataChecksums: true,
      walSegmentSize: 16 * 1024 * 1024,
      blockSize: 8192,
      relationSegmentBlocks: 131072,
    });
  });

  test("of a standby says how far it must replay", () => {
    const bytes = controlFileBytes({
      state: 5,
      minRecoveryPoint: 0x3000100n,
      minRecoveryTimeline: 2,
      dataChecksumVersion: 0,
    });
    expect(parseControlFile(bytes)).toMatchObject({
      state: "in archive recovery",
      minRecoveryPoint: 0x3000100n,
      minRecoveryTimeline: 2,
      dataChecksums: false,
    });
  });

  test.each([0, 48, 255, 287])("with byte %d damaged is corrupt", (offset) => {
    const bytes = controlFileBytes();
    bytes[offset] = (bytes[offset] ?? 0) ^ 1;
    expect(thrownBy(() => parseControlFile(bytes)).code).toBe("corrupt");
  });

  test("cut short is corrupt", () => {
    expect(thrownBy(() => parseControlFile(controlFileBytes().subarray(0, 100))).code).toBe("corrupt");
  });

  test.each([
    [1201, /newer PostgreSQL needs a newer pgark/],
    [1300 << 16, /another byte order/],
  ])("of version %d is refused with the reason", (controlVersion, hint) => {
    expect(thrownBy(() => parseControlFile(controlFileBytes({ controlVersion })))).toMatchObject({
      code: "refused",
      hint: expect.stringMatching(hint) as unknown,
    });
  });
});

describe("a data directory", () => {
  test("has an identity", async () => {
    const pgdata = await dataDirectory();
    expect(readClusterIdentity(pgdata)).toEqual({ majorVersion: 17, systemIdentifier: 7_500_000_000_000_000_000n });
  });

  test("with a pg_control that stays damaged is corrupt", async () => {
    const pgdata = await dataDirectory();
    await writeFile(join(pgdata, "global/pg_control"), Buffer.alloc(8192, 1).fill(controlFileBytes(), 0, 100));
    expect(thrownBy(() => readControlFile(pgdata)).code).toBe("corrupt");
  });

  test("of an older PostgreSQL is refused", async () => {
    const pgdata = await dataDirectory();
    await writeFile(join(pgdata, "PG_VERSION"), "9.6\n");
    expect(thrownBy(() => readClusterIdentity(pgdata)).code).toBe("refused");
  });

  test("that is none is refused, naming what it lacks", async () => {
    const { path } = await temporaryDirectory();
    const error = thrownBy(() => readClusterIdentity(path));
    expect(error).toMatchObject({ code: "refused", object: path });
    expect(error.hint).toContain("PG_VERSION");
  });

  test.skipIf(process.getuid?.() === 0)("of another user is denied with a hint who should run pgark", async () => {
    const pgdata = await dataDirectory();
    await chmod(join(pgdata, "global"), 0);
    expect(thrownBy(() => readControlFile(pgdata))).toMatchObject({
      code: "denied",
      hint: expect.stringContaining("owns the data directory") as unknown,
    });
    await chmod(join(pgdata, "global"), 0o700);
  });
});

async function dataDirectory(): Promise<string> {
  const { path } = await temporaryDirectory();
  await mkdir(join(path, "global"));
  await writeFile(join(path, "PG_VERSION"), "17\n");
  await writeFile(join(path, "global/pg_control"), controlFileBytes());
  return path;
}
