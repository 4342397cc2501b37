import { Header, Pax } from "tar";

/** Tar comes in blocks of this size. */
export const tarBlock = 512;

export interface TarEntry {
  readonly type: "File" | "Directory";
  readonly path: string;
  readonly size: number;
  readonly mode: number;
  readonly modifiedMs: number;
  readonly uid: number;
  readonly gid: number;
}

/** The header blocks of an entry: ustar, with a pax header before it when a field does not fit. */
export function tarHeader(entry: TarEntry): Uint8Array {
  const fields = {
    path: entry.type === "Directory" && !entry.path.endsWith("/") ? `${entry.path}/` : entry.path,
    type: entry.type,
    size: entry.size,
    mode: entry.mode & 0o777,
    mtime: new Date(entry.modifiedMs),
    uid: entry.uid,
    gid: entry.gid,
  };
  const header = new Header(fields);
  const block = Buffer.alloc(tarBlock);
  if (!header.encode(block)) return block;
  return Buffer.concat([new Pax(fields, false).encode(), block]);
}

/** Zeros from the end of an entry's content to the next block. */
export function tarPadding(size: number): Uint8Array {
  return Buffer.alloc((tarBlock - (size % tarBlock)) % tarBlock);
}

/** What ends an archive. */
export function tarEnd(): Uint8Array {
  return Buffer.alloc(2 * tarBlock);
}
