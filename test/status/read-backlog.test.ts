import { mkdir, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { readBacklogHere } from "../../src/status/read-backlog.ts";
import { temporaryDirectory } from "../helpers/temp.ts";

test("the backlog is all .ready files, and its age that of the one that waits longest, not of the lowest name", async () => {
  const { path: pgdata } = await temporaryDirectory();
  const folder = join(pgdata, "pg_wal/archive_status");
  await mkdir(folder, { recursive: true });
  const since: Readonly<Record<string, number>> = {
    "000000010000000000000007.done": 1000,
    "000000010000000000000008.ready": 3000,
    "000000010000000000000009.ready": 2000,
    "00000002.history.ready": 4000,
  };
  for (const [name, time] of Object.entries(since)) {
    await writeFile(join(folder, name), "");
    await utimes(join(folder, name), time, time);
  }
  expect(await readBacklogHere(pgdata)).toEqual({
    files: 3,
    oldest: { name: "000000010000000000000009", since: new Date(2_000_000) },
  });
});

test("a directory that is not there is an error, and never an empty backlog", async () => {
  const { path: pgdata } = await temporaryDirectory();
  await expect(readBacklogHere(pgdata)).rejects.toMatchObject({ code: "io", operation: "read backlog" });
});
