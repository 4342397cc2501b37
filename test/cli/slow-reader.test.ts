import { spawn } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { text } from "node:stream/consumers";
import { expect, test } from "vitest";
import { encodeBackupRecord } from "../../src/repository/backup-record-json.ts";
import { initRepository } from "../../src/repository/init-repository.ts";
import { backupRecordKey } from "../../src/repository/layout.ts";
import { FileStore } from "../../src/storage/drivers/file/file-store.ts";
import { until } from "../helpers/processes.ts";
import { plainEnvironment, projectDirectory } from "../helpers/project.ts";
import { temporaryDirectory } from "../helpers/temp.ts";
import { backupRecord, identity, moment, walSegmentSize } from "../repository/backup-fixture.ts";

test("an answer that is larger than a pipe arrives whole, however late it is read", async () => {
  const { path } = await temporaryDirectory();
  const store = new FileStore(path, { create: true });
  const cluster = { store, cluster: "main", identity, walSegmentSize, recipients: [], hostRecipients: [], now: moment };
  await initRepository(cluster);
  // Far more than the pipe and what this process reads ahead of it.
  const labels = Array.from({ length: 3000 }, (_, index) => `20261120T100000Z${index === 0 ? "" : `-${index}`}`);
  for (const label of labels) {
    const file = join(path, backupRecordKey("main", identity, label));
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, encodeBackupRecord(backupRecord(label)));
  }
  const program = spawn(
    join(projectDirectory, "bin/pgark"),
    ["list", "--json", "--repository", path, "--cluster", "main"],
    {
      env: { ...plainEnvironment(), PGARK_NODE: process.execPath },
      stdio: ["ignore", "pipe", "ignore"],
    },
  );
  const exited = new Promise((resolve) => program.once("exit", resolve));
  // The pipe is full then.
  await until(async () => written(program.pid) >= 65_536 || program.exitCode !== null, "the first part of the answer");
  const { lives } = JSON.parse(await text(program.stdout)) as {
    lives: readonly { readonly backups: readonly unknown[] }[];
  };
  expect(lives[0]?.backups).toHaveLength(labels.length);
  expect(await exited).toBe(0);
});

/** Bytes that a process has written. */
function written(pid: number | undefined): number {
  try {
    return Number(/^wchar: (\d+)$/m.exec(readFileSync(`/proc/${pid}/io`, "latin1"))?.[1] ?? 0);
  } catch {
    return 0; // gone
  }
}
