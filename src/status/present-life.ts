import type { Lsn } from "../postgres/lsn.ts";
import { lsn } from "../postgres/lsn.ts";
import { segmentStart } from "../postgres/wal-file-name.ts";
import { sameIdentity } from "../postgres/cluster-identity.ts";
import type { BackupRecord } from "../repository/backup-record.ts";
import type { Catalog, WalInterval } from "../repository/catalog.ts";
import { timelinePath } from "../repository/timeline-path.ts";
import type { Asked, LifeFacts, ServerFacts, StatusFacts, WindowStretch } from "./status-facts.ts";

/** The life that the cluster lives now; undefined before `pgark init`. */
export function presentLife({ lives }: Pick<StatusFacts, "lives">): LifeFacts | undefined {
  return lives.at(-1);
}

export function lastBackup(life: LifeFacts): BackupRecord | undefined {
  return life.catalog.backups.at(-1);
}

/** The interval whose last segment came last. */
export function lastArchived({ wal }: Catalog): WalInterval | undefined {
  return wal.reduce<WalInterval | undefined>(
    (last, next) => (last === undefined || next.archivedAt >= last.archivedAt ? next : last),
    undefined,
  );
}

/** The stretch that holds the newest moment of the newest timeline that can be restored at all. */
export function newestStretch({ window }: LifeFacts): WindowStretch | undefined {
  return window.reduce<WindowStretch | undefined>((newest, next) => {
    if (newest === undefined || next.timeline > newest.timeline) return next;
    return next.timeline === newest.timeline && next.to.lsn >= newest.to.lsn ? next : newest;
  }, undefined);
}

/** Milliseconds from the first to the last moment of a stretch; undefined where it has no times. */
export function lengthOf(stretch: WindowStretch | undefined): number | undefined {
  const { from, to } = stretch ?? {};
  return from?.time === undefined || to?.time === undefined ? undefined : to.time.getTime() - from.time.getTime();
}

/** What the server says, when it could be asked and lives the life that is looked at. */
export function serverOf(life: LifeFacts | undefined, server: Asked<ServerFacts>): ServerFacts | undefined {
  if (life === undefined || !server.known) return undefined;
  return sameIdentity(server.value.identity, life.catalog.identity) ? server.value : undefined;
}

/**
 * Up to where the history of the server was archived: to the end of the last segment of its timeline, or else of the youngest
 * one on the way to it, of which only what lies before the next timeline is the server's.
 */
export function archivedEnd(catalog: Catalog, server: ServerFacts): Lsn | undefined {
  for (const leg of timelinePath(catalog, server.timeline).legs.toReversed()) {
    const last = catalog.wal.findLast(({ timeline }) => timeline === leg.timeline);
    if (last === undefined) continue;
    const end = segmentStart(last.last + 1n, catalog.walSegmentSize);
    return leg.end !== undefined && leg.end < end ? leg.end : end;
  }
  return undefined;
}

/** Bytes that PostgreSQL has written and that are not archived; undefined without a server, or without any WAL. */
export function walLag(life: LifeFacts | undefined, server: Asked<ServerFacts>): number | undefined {
  const asked = serverOf(life, server);
  const end = life === undefined || asked === undefined ? undefined : archivedEnd(life.catalog, asked);
  if (asked === undefined || end === undefined) return undefined;
  return Number(lsn(asked.position > end ? asked.position - end : 0n));
}
