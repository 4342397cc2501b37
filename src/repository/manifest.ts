import { PgarkError } from "../errors.ts";
import { formatVersion } from "./layout.ts";

/**
 * The lines of a `BackupManifest`: JSON, one a line, read and written as a stream. The first is the header and the last the
 * trailer; a pack's line stands right before the lines of the files that it holds.
 */
export type ManifestLine = ManifestHeader | DirectoryLine | TablespaceLine | PackLine | FileLine | ManifestTrailer;

export interface ManifestHeader {
  readonly type: "manifest";
  readonly format: number;
  readonly label: string;
  /** `<major>-<system identifier>` */
  readonly identity: string;
}

export interface DirectoryLine {
  readonly type: "directory";
  /** relative to PGDATA, "." for itself */
  readonly path: string;
  /** permission bits in octal, "0700" */
  readonly mode: string;
  /** where it was linked to: a `pg_wal` that lay elsewhere */
  readonly target?: string;
}

export interface TablespaceLine {
  readonly type: "tablespace";
  readonly oid: number;
  readonly location: string;
}

export interface PackLine {
  readonly type: "pack";
  readonly pack: number;
  /** the object, relative to its backup's folder */
  readonly name: string;
  /** bytes as stored */
  readonly size: number;
  /** of the bytes as stored, hexadecimal */
  readonly sha256: string;
}

export interface FileLine {
  readonly type: "file";
  /** relative to PGDATA; files of a tablespace below `pg_tblspc/<oid>/` */
  readonly path: string;
  readonly size: number;
  readonly mode: string;
  readonly modified: string;
  /** CRC-32C of the content, 8 hexadecimal digits, as the number is written */
  readonly crc32c: string;
  /** where its bytes lie, in order; none for an empty file */
  readonly extents: readonly Extent[];
  /** numbers of the pages (within this file) whose checksum does not hold */
  readonly badPages?: readonly number[];
}

/** `length` bytes of a file, at `offset` of the pack's plain tar. */
export interface Extent {
  readonly pack: number;
  readonly offset: number;
  readonly length: number;
}

export interface ManifestTrailer {
  readonly type: "end";
  readonly files: number;
  readonly bytes: number;
  readonly packs: number;
}

export function formatManifestLine(line: ManifestLine): string {
  return `${JSON.stringify(line)}\n`;
}

/** Reads one line; throws `corrupt`, or `newer-format` for a header from the future. */
export function parseManifestLine(text: string): ManifestLine {
  let line: ManifestLine;
  try {
    line = JSON.parse(text) as ManifestLine;
  } catch (error) {
    throw new PgarkError("corrupt", "a line of the manifest is not JSON", { operation: "read manifest", cause: error });
  }
  if (line.type === "manifest" && line.format > formatVersion) {
    throw new PgarkError("newer-format", `the manifest is of format ${line.format}`, {
      operation: "read manifest",
      object: line.label,
      hint: "use the version of pgark that wrote it, or a later one",
    });
  }
  if (line.type === "file" || line.type === "directory") checkPath(line.path);
  return line;
}

/** Whatever a manifest says, nothing is ever written outside the data directory. */
function checkPath(path: string): void {
  const parts = path.split("/");
  if (path === "." || parts.every((part) => part !== "" && part !== "." && part !== ".." && !part.includes("\0")))
    return;
  throw new PgarkError("corrupt", "a path leaves the data directory", { operation: "read manifest", object: path });
}

export function formatMode(mode: number): string {
  return `0${(mode & 0o777).toString(8).padStart(3, "0")}`;
}

export function parseMode(text: string): number {
  return Number.parseInt(text, 8) & 0o777;
}
