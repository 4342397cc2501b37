import { closeSync, openSync, unlinkSync, writeSync } from "node:fs";
import { ioError, isPgarkError, PgarkError } from "../errors.ts";
import type { ClusterIdentity } from "../postgres/cluster-identity.ts";
import type { WalFileName } from "../postgres/wal-file-name.ts";
import type { PayloadReader } from "./envelope/payload-reader.ts";
import type { ReadObjectOptions } from "./envelope/whole-object.ts";
import { readObject } from "./envelope/whole-object.ts";
import { WalContentCheck } from "./wal-content.ts";

export interface OpenWalFileOptions extends ReadObjectOptions {
  /** what it must be */
  readonly name: WalFileName;
  /** whose it must be */
  readonly identity: ClusterIdentity;
  /** what errors call it: its key in the repository */
  readonly key?: string | undefined;
}

/**
 * Turns a stored WAL object into a file that only its owner reads, and gives back its size. All on the calling thread, in one
 * pass over small buffers. The file is replaced when it exists, and is there afterwards only if all of it was verified: object,
 * digest, and that it is what its name says. Not synced. Throws `corrupt`, `no-identity`, `identity-mismatch`; `io` about the file.
 */
export async function openWalFile(
  stored: Uint8Array,
  path: string,
  options: OpenWalFileOptions,
  reader?: PayloadReader,
): Promise<number> {
  const file = create(path);
  let isDone = false;
  try {
    const size = await copy(stored, file, path, options, reader);
    isDone = true;
    return size;
  } finally {
    closeSync(file);
    if (!isDone) remove(path);
  }
}

async function copy(
  stored: Uint8Array,
  file: number,
  path: string,
  options: OpenWalFileOptions,
  reader: PayloadReader | undefined,
): Promise<number> {
  const check = new WalContentCheck(options.name);
  const take = (bytes: Uint8Array): void => {
    check.write(bytes);
    append(file, bytes, path);
  };
  const { size } = await readObject(stored, options, take, reader).catch((error: unknown) => {
    throw about(error, options, damagedHint);
  });
  try {
    // Whatever the repository holds under this name.
    check.end(options.identity);
  } catch (error) {
    throw about(error, options, foreignHint);
  }
  return size;
}

const damagedHint = "the object in the repository is damaged; another copy of this file is the only way past it";
const foreignHint = "what the repository holds under this name is not this file; nothing was handed to PostgreSQL";

/** What finds the damage does not know the object. */
function about(error: unknown, options: OpenWalFileOptions, hint: string): unknown {
  if (!isPgarkError(error, "corrupt", "no-identity", "identity-mismatch")) return error;
  return new PgarkError(error.code, error.message, {
    operation: "fetch",
    object: options.key ?? options.name.name,
    hint: error.hint ?? hint,
    facts: error.facts,
    cause: error,
  });
}

function create(path: string): number {
  try {
    return openSync(path, "w", 0o600);
  } catch (error) {
    throw ioError("write WAL file", path, error);
  }
}

/** Why the file is not wanted matters more than that it stays. */
function remove(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // the next one of this name replaces it
  }
}

function append(file: number, bytes: Uint8Array, path: string): void {
  try {
    for (let done = 0; done < bytes.length;) done += writeSync(file, bytes, done);
  } catch (error) {
    throw ioError("write WAL file", path, error);
  }
}
