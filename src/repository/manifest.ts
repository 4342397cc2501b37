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
  let line: unknown;
  try {
    line = JSON.parse(text);
  } catch (error) {
    throw new PgarkError("corrupt", "a line of the manifest is not JSON", { operation: "read manifest", cause: error });
  }
  if (!isObject(line)) throw malformed("nothing");
  const isWhole = shapes.get(String(line["type"]));
  if (isWhole === undefined) throw newer(`the manifest has lines of the type "${String(line["type"])}"`);
  if (line["type"] === "manifest" && Number(line["format"]) > formatVersion) {
    throw newer(`the manifest is of format ${String(line["format"])}`);
  }
  if (!isWhole(line)) throw malformed(String(line["type"]));
  const known = line as unknown as ManifestLine;
  if (known.type === "directory" && known.path !== ".") checkPath(known.path);
  if (known.type === "file") checkPath(known.path);
  if (known.type === "pack") checkPath(known.name);
  return known;
}

type JsonObject = Readonly<Record<string, unknown>>;

/** What each type of line must have; fields that are not known here are passed over. */
const shapes: ReadonlyMap<string, (line: JsonObject) => boolean> = new Map([
  ["manifest", (line) => isCount(line["format"]) && isText(line["label"]) && isText(line["identity"])],
  ["directory", (line) => isText(line["path"]) && isMode(line["mode"]) && isOptional(line["target"], isText)],
  ["tablespace", (line) => isCount(line["oid"]) && isText(line["location"])],
  [
    "pack",
    (line) => isCount(line["pack"]) && isText(line["name"]) && isCount(line["size"]) && isHex(line["sha256"], 64),
  ],
  [
    "file",
    (line) =>
      isText(line["path"]) &&
      isCount(line["size"]) &&
      isMode(line["mode"]) &&
      isText(line["modified"]) &&
      isHex(line["crc32c"], 8) &&
      isList(line["extents"], isExtent) &&
      isOptional(line["badPages"], (pages) => isList(pages, isCount)),
  ],
  ["end", (line) => isCount(line["files"]) && isCount(line["bytes"]) && isCount(line["packs"])],
]);

function isExtent(value: unknown): boolean {
  return isObject(value) && isCount(value["pack"]) && isCount(value["offset"]) && isCount(value["length"]);
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isCount(value: unknown): boolean {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function isText(value: unknown): boolean {
  return typeof value === "string";
}

function isMode(value: unknown): boolean {
  return typeof value === "string" && /^0[0-7]{3}$/.test(value);
}

function isHex(value: unknown, digits: number): boolean {
  return typeof value === "string" && value.length === digits && /^[0-9a-f]+$/.test(value);
}

function isList(value: unknown, isItem: (item: unknown) => boolean): boolean {
  return Array.isArray(value) && value.every(isItem);
}

function isOptional(value: unknown, check: (value: unknown) => boolean): boolean {
  return value === undefined || check(value);
}

function malformed(type: string): PgarkError {
  return new PgarkError("corrupt", `a line of the manifest is not what a line of type "${type}" must be`, {
    operation: "read manifest",
  });
}

function newer(problem: string): PgarkError {
  return new PgarkError("newer-format", problem, {
    operation: "read manifest",
    hint: "use the version of pgark that wrote it, or a later one",
  });
}

/** Whatever a manifest says, nothing is ever read or written outside the backup and the data directory. */
function checkPath(path: string): void {
  if (path.split("/").every((part) => part !== "" && part !== "." && part !== ".." && !part.includes("\0"))) return;
  throw new PgarkError("corrupt", "a path leaves the data directory", { operation: "read manifest", object: path });
}

export function formatMode(mode: number): string {
  return `0${(mode & 0o777).toString(8).padStart(3, "0")}`;
}

export function parseMode(text: string): number {
  return Number.parseInt(text, 8) & 0o777;
}
