import { requireOneTimeline } from "../postgres/backup-session.ts";
import { connect } from "../postgres/connection.ts";
import type { Session } from "../postgres/connection.ts";
import { isExcludedName } from "../postgres/data-directory.ts";
import type { BaseBackupSink, ServerNotice } from "../postgres/base-backup-sink.ts";
import { streamBaseBackup } from "../postgres/replication.ts";
import type { ServerInfo } from "../postgres/server-info.ts";
import { formatMode } from "../repository/manifest.ts";
import { StreamedPackWriter } from "../repository/streamed-pack.ts";
import { announceCheckpoint } from "./announce-checkpoint.ts";
import type { BackupJob, CopiedCluster } from "./backup-types.ts";
import { packBytes, packFiles } from "./pack-plan.ts";
import { reportProgress } from "./report-progress.ts";
import type { TarHandler, TarMember } from "./tar-splitter.ts";
import { TarSplitter } from "./tar-splitter.ts";

/** Copies a cluster over the replication protocol: one stream from the server, compressed by all workers. */
export async function copyRemotely(session: Session, job: BackupJob): Promise<CopiedCluster> {
  const { options, signal } = job;
  const replication = await connect({ ...options.connection, replication: true, signal, log: options.log });
  const sink = new PackingSink(job);
  const progress = reportProgress("copy", job.uploader.counters, sink.total, options.onProgress);
  const warnings: string[] = [];
  const onNotice = (notice: ServerNotice): void => {
    if (notice.severity !== "WARNING") return;
    warnings.push(notice.message);
    options.log.warn(`PostgreSQL: ${notice.message}`);
  };
  try {
    const startTime = await serverClock(session);
    announceCheckpoint(options);
    const result = await streamBaseBackup(
      replication,
      {
        label: `pgark ${job.label}`,
        fast: options.fast,
        maxRate: options.rate,
        estimateSize: true,
        inPlaceTablespaces: inPlaceTablespaces(job.server),
        onNotice,
        signal,
      },
      sink,
    );
    requireOneTimeline(result.startTimeline, result.stopTimeline);
    await sink.end();
    return {
      startLsn: result.startLsn,
      stopLsn: result.stopLsn,
      timeline: result.startTimeline,
      startTime,
      stopTime: await serverClock(session),
      tablespaces: sink.tablespaces,
      warnings,
      checksumFailures: result.checksumFailures,
    };
  } catch (error) {
    await sink.abort();
    throw error;
  } finally {
    progress.end();
    await sink.close();
    await replication.end();
  }
}

function inPlaceTablespaces(server: ServerInfo): readonly number[] {
  return server.tablespaces.filter(({ location }) => location === undefined).map(({ oid }) => oid);
}

async function serverClock(session: Session): Promise<Date> {
  // Rounded up: nothing that came before may seem to come after.
  const [row] = await session.query("SELECT ceil(extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now");
  return new Date(Number(row?.["now"]));
}

/** Puts what the server sends into packs. */
class PackingSink implements BaseBackupSink {
  readonly total = { bytes: 0 };
  readonly tablespaces: { oid: number; location: string | undefined }[] = [];
  readonly #job: BackupJob;
  readonly #writer: StreamedPackWriter;
  #splitter: TarSplitter | undefined;

  constructor(job: BackupJob) {
    this.#job = job;
    this.#writer = new StreamedPackWriter(job.uploader);
  }

  async begin(info: Parameters<BaseBackupSink["begin"]>[0]): Promise<void> {
    this.total.bytes = info.size ?? 0;
    for (const { oid, location } of info.tablespaces) {
      this.tablespaces.push({ oid, location });
      if (location !== undefined) await this.#job.manifest.add([{ type: "tablespace", oid, location }]);
    }
  }

  archive(info: { readonly tablespaceOid: number | undefined }): void {
    this.#splitter?.end();
    const prefix = info.tablespaceOid === undefined ? "" : `pg_tblspc/${info.tablespaceOid}/`;
    this.#splitter = new TarSplitter(new MemberPacker(this.#writer, prefix));
  }

  async data(chunk: Uint8Array): Promise<void> {
    this.#job.signal.throwIfAborted();
    await this.#splitter?.write(chunk);
  }

  manifest(): void {
    // The server's own list of files; pgark adds up its own digests from the very bytes that it stores.
  }

  async end(): Promise<void> {
    this.#splitter?.end();
    await this.#writer.endPack();
  }

  async abort(): Promise<void> {
    await this.#writer.abort();
  }

  async close(): Promise<void> {
    await this.#writer.close();
  }
}

/** Members of one archive of the server's, under the paths that they have in PGDATA. */
class MemberPacker implements TarHandler {
  readonly #writer: StreamedPackWriter;
  readonly #prefix: string;
  #skipping = false;

  constructor(writer: StreamedPackWriter, prefix: string) {
    this.#writer = writer;
    this.#prefix = prefix;
  }

  async begin(member: TarMember): Promise<void> {
    const path = this.#pathOf(member);
    this.#skipping = member.type !== "file" || isLeftOut(path);
    if (member.type === "directory") {
      const line = { type: "directory", path, mode: formatMode(member.mode) } as const;
      await this.#writer.addDirectory(path, member.mode, line);
    }
    if (this.#skipping) return;
    // A pack ends before the file that would make it too large; a large file has a pack of its own.
    const full = this.#writer.packSize + member.size > packBytes || this.#writer.packFiles >= packFiles;
    if (full) await this.#writer.endPack();
    const { size, mode, modifiedMs } = member;
    await this.#writer.beginFile({ path, size, mode, modifiedMs });
  }

  async data(bytes: Uint8Array): Promise<void> {
    if (!this.#skipping) await this.#writer.write(bytes);
  }

  async end(): Promise<void> {
    if (!this.#skipping) await this.#writer.endFile();
    this.#skipping = false;
  }

  #pathOf(member: TarMember): string {
    const path = member.path.replace(/^\.\/?/, "");
    return this.#prefix + path === "" ? "." : this.#prefix + path;
  }
}

/** The server sends a few files that a local backup leaves out (signal files of a standby); the label files are wanted. */
function isLeftOut(path: string): boolean {
  if (path === "backup_label" || path === "tablespace_map") return false;
  const slash = path.lastIndexOf("/");
  return isExcludedName(slash < 0 ? "" : path.slice(0, slash), path.slice(slash + 1));
}
