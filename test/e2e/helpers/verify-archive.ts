import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { decodeBackupRecord } from "../../../src/repository/backup-record-json.ts";
import type { BackupRecord } from "../../../src/repository/backup-record.ts";
import { archiveCurrentSegment, expectDone, startArchivingCluster } from "./archiving-cluster.ts";

/** An archive that nothing is wrong with: two timelines, a backup on each, some WAL before and behind each. Encrypted. */
export interface VerifyArchive {
  readonly root: string;
  readonly identityFile: string;
  /** `<major>-<system identifier>` */
  readonly life: string;
  /** on timeline 1 */
  readonly older: BackupRecord;
  /** on timeline 2 */
  readonly newer: BackupRecord;
  /** the names of all WAL files, in order */
  readonly wal: readonly string[];
  readonly walSegmentSize: number;
}

/** Takes a few seconds; made once for many faults. */
export async function makeVerifyArchive(directory: string): Promise<VerifyArchive> {
  const archiving = await startArchivingCluster({ directory, encrypted: true, walSegmentSizeMb: 1 });
  const { cluster, repository: root, identityFile = "" } = archiving;
  const backup = async (): Promise<string> => {
    expectDone(await archiving.run(["backup", "--fast"]));
    await cluster.query("insert into t select i, md5(i::text) from generate_series(1, 200) i");
    await archiveCurrentSegment(cluster);
    await archiveCurrentSegment(cluster);
    return archiveCurrentSegment(cluster);
  };
  await cluster.query("create table t (i int, filler text)");
  await backup();
  await cluster.query("insert into t select i, md5(i::text) from generate_series(1, 1000) i");
  // A standby of nobody, promoted: the same server goes on, on a timeline of its own. A server that shuts down ends the
  // segment; one that crashes leaves it, so that the timeline forks some pages into it.
  await cluster.stop("immediate");
  await writeFile(join(cluster.pgdata, "standby.signal"), "");
  await cluster.start();
  await cluster.promote();
  await archiveCurrentSegment(cluster);
  await backup();
  await cluster.stop();
  const { lives } = (await archiving.json(["list"])) as { lives: readonly { readonly identity: string }[] };
  const life = lives[0]?.identity ?? "";
  const folder = join(root, "main", life);
  const labels = (await readdir(join(folder, "backups"))).toSorted();
  const [older, newer] = await Promise.all(
    labels.map(async (label) => {
      const key = join(folder, "backups", label, "backup.json");
      return decodeBackupRecord(key, await readFile(key));
    }),
  );
  if (older === undefined || newer === undefined) throw new Error(`there are no two backups: ${labels.join()}`);
  const entries = await readdir(join(folder, "wal"), { recursive: true, withFileTypes: true });
  const wal = entries.filter((entry) => entry.isFile()).map(({ name }) => name.replace(/\.zst\.age$/, ""));
  return { root, identityFile, life, older, newer, wal: wal.toSorted(), walSegmentSize: older.walSegmentSize };
}
