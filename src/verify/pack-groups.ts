import { PgarkError } from "../errors.ts";
import { parseRelationPath } from "../postgres/data-directory.ts";
import type { FileLine, ManifestLine, PackLine } from "../repository/manifest.ts";
import type { CheckFile } from "../repository/worker/check-tasks.ts";

/** A pack and the files that the manifest says are in it. */
export interface PackGroup {
  readonly pack: PackLine;
  readonly files: readonly FileLine[];
}

/** How the pages of a cluster lie in its files. */
export interface PageGeometry {
  readonly blockSize: number;
  /** pages in each file of a large relation but the last */
  readonly relationSegmentBlocks: number;
}

/** As PostgreSQL is built unless somebody says otherwise: pages of 8 KiB, files of 1 GiB. */
export const usualGeometry: PageGeometry = { blockSize: 8192, relationSegmentBlocks: 131_072 };

/** Small files whose content says what the backup is. */
export const tellingFiles = { control: "global/pg_control", label: "backup_label" } as const;

/** A pack's line stands before the lines of its files. */
export class PackGrouper {
  #pack: PackLine | undefined;
  #files: FileLine[] = [];

  /** Takes the next line, and gives back the group that it ends. */
  add(line: ManifestLine): PackGroup | undefined {
    if (line.type === "file") this.#files.push(line);
    return line.type === "pack" || line.type === "end" ? this.#next(line) : undefined;
  }

  #next(line: ManifestLine): PackGroup | undefined {
    const group = this.#pack === undefined ? undefined : { pack: this.#pack, files: this.#files };
    this.#pack = line.type === "pack" ? line : undefined;
    this.#files = [];
    return group;
  }
}

/** What a worker looks for in a pack, in the order of the pack. */
export function filesToCheck({ pack, files }: PackGroup, geometry: PageGeometry): readonly CheckFile[] {
  const found = files.map((file): CheckFile => {
    const [extent, ...others] = file.extents;
    const isWhole = file.size === 0 || (extent?.pack === pack.pack && extent.length === file.size);
    if (others.length > 0 || !isWhole) {
      throw new PgarkError("newer-format", `the file ${file.path} lies in several packs`, {
        operation: "read manifest",
        object: file.path,
      });
    }
    const relation = parseRelationPath(file.path);
    return {
      path: file.path,
      offset: extent?.offset ?? 0,
      size: file.size,
      crc32c: Number.parseInt(file.crc32c, 16),
      firstBlock: relation === undefined ? undefined : relation.segment * geometry.relationSegmentBlocks,
      badPages: file.badPages ?? [],
      wanted: file.path === tellingFiles.control || file.path === tellingFiles.label,
    };
  });
  return found.sort((a, b) => a.offset - b.offset);
}
