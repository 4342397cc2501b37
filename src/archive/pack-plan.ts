import { realpathSync } from "node:fs";
import path from "node:path";
import { errnoOf, ioError } from "../errors.ts";
import type { RelationFile } from "../postgres/data-directory.ts";
import type { ScannedEntry } from "../postgres/data-directory-scan.ts";
import type { ManifestLine } from "../repository/manifest.ts";
import { formatMode } from "../repository/manifest.ts";
import type { PackEntry } from "../repository/worker/pack-tasks.ts";

/** Small files share packs of about this many bytes; a larger file has a pack of its own. */
export const packBytes = 64 * 1024 * 1024;
/** And of at most this many files, so that neither a task nor a tail of tiny files grows without bound. */
export const packFiles = 4096;

export interface PlannedPack {
  readonly entries: readonly PackEntry[];
  readonly lines: readonly ManifestLine[];
}

export interface PackPlanOptions {
  readonly pgdata: string;
  /** whether relation files have page checksums to verify */
  readonly pageChecksums: boolean;
  /** blocks in a full file of a relation (RELSEG_SIZE) */
  readonly relationSegmentBlocks: number;
}

/** Groups what a scan finds into packs, as it finds it: never more than one pack is held. */
export function* planPacks(entries: Iterable<ScannedEntry>, options: PackPlanOptions): Generator<PlannedPack> {
  let pack: PackEntry[] = [];
  let lines: ManifestLine[] = [];
  let bytes = 0;
  for (const entry of entries) {
    const line = manifestLine(entry);
    if (line !== undefined) lines.push(line);
    const packed = packEntry(entry, options);
    if (packed === undefined || entry.kind === "tablespace" || entry.kind === "symlink") continue;
    if (entry.kind === "file" && entry.size > packBytes / 2) {
      yield { entries: [packed], lines: [] };
      continue;
    }
    pack.push(packed);
    bytes += entry.kind === "file" ? entry.size : 0;
    if (bytes >= packBytes || pack.length >= packFiles) {
      yield { entries: pack, lines };
      pack = [];
      lines = [];
      bytes = 0;
    }
  }
  if (pack.length > 0 || lines.length > 0) yield { entries: pack, lines };
}

function manifestLine(entry: ScannedEntry): ManifestLine | undefined {
  if (entry.kind === "tablespace") return { type: "tablespace", oid: entry.oid, location: entry.location };
  if (entry.kind !== "directory") return undefined;
  const { linkTarget } = entry;
  const target = linkTarget === undefined ? {} : { target: linkTarget };
  return { type: "directory", path: entry.path === "" ? "." : entry.path, mode: formatMode(entry.mode), ...target };
}

function packEntry(entry: ScannedEntry, options: PackPlanOptions): PackEntry | undefined {
  if (entry.kind === "directory") {
    return { kind: "directory", path: entry.path === "" ? "." : entry.path, mode: entry.mode };
  }
  if (entry.kind !== "file") return undefined;
  return {
    kind: "file",
    path: entry.path,
    source: entry.linkTarget === undefined ? path.join(options.pgdata, entry.path) : resolveLink(entry.path, options),
    firstBlock: firstBlock(entry.relation, options),
  };
}

/** The file at the end of what may be several links, some of them directories on the way. */
function resolveLink(name: string, options: PackPlanOptions): string {
  const link = path.join(options.pgdata, name);
  try {
    return realpathSync(link);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return link; // gone since; whoever reads it finds that out
    throw ioError("scan data directory", link, error);
  }
}

function firstBlock(relation: RelationFile | undefined, options: PackPlanOptions): number | undefined {
  if (relation === undefined || !options.pageChecksums) return undefined;
  return relation.segment * options.relationSegmentBlocks;
}
