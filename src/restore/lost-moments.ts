import { lsn } from "../postgres/lsn.ts";
import type { Lsn } from "../postgres/lsn.ts";
import { segmentStart } from "../postgres/wal-file-name.ts";
import type { TimelineHistory, TimelineId } from "../postgres/timeline.ts";
import { timelineId } from "../postgres/timeline.ts";
import type { BackupRecord } from "../repository/backup-record.ts";
import type { Catalog, CatalogPart, WalInterval } from "../repository/catalog.ts";
import type { WindowInterval } from "./recovery-plan.ts";
import { recoveryWindow } from "./recovery-window.ts";
import { indexWal } from "../repository/wal-index.ts";
import { holesOfBackup } from "./wal-holes.ts";
import type { WalHole } from "./wal-holes.ts";

/** What can no longer be restored. */
export interface Loss {
  /** labels of backups that cannot be restored at all, oldest first */
  readonly backups: readonly string[];
  /** by timeline, then by position */
  readonly moments: readonly LostStretch[];
}

/** Moments between two that can be restored, or at an end of the recovery window. */
export interface LostStretch {
  /** what `--timeline` would have to be */
  readonly timeline: TimelineId;
  readonly from: StretchEnd;
  readonly to: StretchEnd;
}

/** The first or last position that is lost; the time, as near as it is known, of what can still be restored beside it. */
export interface StretchEnd {
  readonly lsn: Lsn;
  readonly time: Date | undefined;
}

/**
 * What a catalog would be if its holes were filled, and the histories that are lost, or cannot be relied on, were there as they
 * most likely were.
 */
export function asIfWhole(catalog: Catalog, holes: readonly WalHole[], lostHistories: readonly TimelineId[]): Catalog {
  const wal = fillHoles(catalog.wal, holes);
  const histories = new Map([...catalog.histories].filter(([timeline]) => !lostHistories.includes(timeline)));
  for (const timeline of lostHistories.toSorted((a, b) => a - b)) {
    const guessed = guessHistory({ ...catalog, wal, histories }, timeline);
    if (guessed !== undefined) histories.set(timeline, guessed);
  }
  return { ...catalog, wal, histories };
}

/** A filled hole counts as archived together with what follows it. */
function fillHoles(wal: readonly WalInterval[], holes: readonly WalHole[]): readonly WalInterval[] {
  const pieces = [...wal, ...holes.map((hole) => ({ ...hole, archivedAt: new Date(0) }))].toSorted((a, b) =>
    a.timeline !== b.timeline ? a.timeline - b.timeline : a.first < b.first ? -1 : 1,
  );
  const filled: WalInterval[] = [];
  for (const piece of pieces) {
    const before = filled.at(-1);
    if (before?.timeline === piece.timeline && before.last + 1n === piece.first) {
      const archivedAt = piece.archivedAt > before.archivedAt ? piece.archivedAt : before.archivedAt;
      filled[filled.length - 1] = { ...piece, first: before.first, archivedAt };
    } else filled.push(piece);
  }
  return filled;
}

/**
 * What a lost history said: a younger timeline's history repeats it; without one, the timeline most likely left the one before
 * it where its own WAL begins.
 */
function guessHistory(catalog: Catalog, timeline: TimelineId): TimelineHistory | undefined {
  for (const { ancestors } of catalog.histories.values()) {
    const at = ancestors.findIndex((ancestor) => ancestor.timeline === timeline);
    if (at > 0) return { timeline, ancestors: ancestors.slice(0, at) };
  }
  const parent = catalog.wal.findLast((interval) => interval.timeline < timeline)?.timeline;
  const first = catalog.wal.find((interval) => interval.timeline === timeline)?.first;
  if (parent === undefined || first === undefined) return undefined;
  const switchPoint = segmentStart(first, catalog.walSegmentSize);
  const older = parent === timelineId(1) ? [] : (catalog.histories.get(parent)?.ancestors ?? []);
  return { timeline, ancestors: [...older, { timeline: parent, switchPoint, reason: "guessed" }] };
}

/** When a segment was archived; undefined where nobody knows, and then nothing is claimed of its time. */
export type ArchivedAt = (timeline: TimelineId, segment: bigint) => Date | undefined;

/** The catalog without the parts that are unusable. */
export function withoutParts(catalog: Catalog, parts: readonly CatalogPart[], archivedAt: ArchivedAt): Catalog {
  const labels = new Set(parts.flatMap((part) => (part.kind === "backup" ? [part.label] : [])));
  const timelines = new Set(parts.flatMap((part) => (part.kind === "history" ? [part.timeline] : [])));
  const segments = parts.filter((part) => part.kind === "segments").toSorted((a, b) => (a.first < b.first ? -1 : 1));
  return {
    ...catalog,
    backups: catalog.backups.filter(({ label }) => !labels.has(label)),
    histories: new Map([...catalog.histories].filter(([timeline]) => !timelines.has(timeline))),
    wal:
      segments.length === 0 ? catalog.wal : catalog.wal.flatMap((interval) => cutOut(interval, segments, archivedAt)),
  };
}

/** @param cuts by their first segments */
function cutOut(interval: WalInterval, cuts: readonly WalHole[], archivedAt: ArchivedAt): readonly WalInterval[] {
  const left: WalInterval[] = [];
  let first = interval.first;
  for (const cut of cuts) {
    if (cut.timeline !== interval.timeline || cut.last < first) continue;
    if (cut.first > interval.last) break;
    if (cut.first > first) {
      const last = cut.first - 1n;
      left.push({ ...interval, first, last, archivedAt: archivedAt(interval.timeline, last) ?? new Date(0) });
    }
    first = cut.last + 1n;
  }
  if (first <= interval.last) left.push({ ...interval, first });
  return left;
}

/** Tells what is lost of a whole catalog when parts of it are unusable; asked many times, for one fault after the other. */
export class LossJudge {
  readonly #whole: Catalog;
  readonly #archivedAt: ArchivedAt;
  readonly #window: readonly WindowInterval[];
  /** those that can be restored */
  readonly #backups: readonly BackupRecord[];
  /** the backups that intervals of the window begin with: without any other, each moment is still reached */
  readonly #opening: ReadonlySet<string>;

  constructor(whole: Catalog, archivedAt: ArchivedAt) {
    this.#whole = whole;
    this.#archivedAt = archivedAt;
    this.#window = recoveryWindow(whole);
    const wal = indexWal(whole);
    this.#backups = whole.backups.filter((backup) => holesOfBackup(whole, wal, backup).length === 0);
    this.#opening = new Set(this.#window.map(({ backup }) => backup));
  }

  lossOf(parts: readonly CatalogPart[]): Loss {
    const labels = new Set(parts.flatMap((part) => (part.kind === "backup" ? [part.label] : [])));
    const isMore = parts.some((part) => part.kind !== "backup" || this.#opening.has(part.label));
    if (!isMore) return { backups: this.#labels(({ label }) => labels.has(label)), moments: [] };
    const left = withoutParts(this.#whole, parts, this.#archivedAt);
    const wal = indexWal(left);
    return {
      backups: this.#labels((backup) => labels.has(backup.label) || holesOfBackup(left, wal, backup).length > 0),
      moments: subtractWindow(this.#window, recoveryWindow(left)),
    };
  }

  #labels(isLost: (backup: BackupRecord) => boolean): readonly string[] {
    return this.#backups.filter(isLost).map(({ label }) => label);
  }
}

/** The moments in `whole` that are not in `left`. */
function subtractWindow(whole: readonly WindowInterval[], left: readonly WindowInterval[]): readonly LostStretch[] {
  return whole.flatMap((interval) => {
    const { timeline } = interval;
    const kept = left.filter(
      (other) => other.timeline === timeline && other.to.lsn >= interval.from.lsn && other.from.lsn <= interval.to.lsn,
    );
    const lost: LostStretch[] = [];
    let from: StretchEnd = { lsn: interval.from.lsn, time: interval.from.time };
    for (const piece of kept) {
      if (piece.from.lsn > from.lsn) {
        lost.push({ timeline, from, to: { lsn: lsn(piece.from.lsn - 1n), time: piece.from.time } });
      }
      from = { lsn: lsn(piece.to.lsn + 1n), time: piece.to.time };
    }
    const last = kept.at(-1);
    if (last === undefined || last.to.lsn < interval.to.lsn) {
      lost.push({ timeline, from, to: { lsn: interval.to.lsn, time: interval.to.time } });
    }
    return lost;
  });
}
