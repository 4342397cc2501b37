import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { errnoOf, ioError, isPgarkError, PgarkError } from "../errors.ts";
import type { ClusterIdentity } from "../postgres/cluster-identity.ts";
import type { WalFileName } from "../postgres/wal-file-name.ts";
import type { WalHeader } from "../postgres/wal-header.ts";
import type { SealOptions } from "./envelope/object-sealer.ts";
import { ObjectSealer, SealWorkspace } from "./envelope/object-sealer.ts";
import { WalContentCheck } from "./wal-content.ts";

export interface SealWalFileOptions extends SealOptions {
  /** what the file must be */
  readonly name: WalFileName;
  /** a body is made for each of them, in their order; an empty one is not encrypted */
  readonly recipientSets: readonly (readonly string[])[];
  readonly level: number;
  /** where the bodies are made, if there is memory for them already: `sealedBound` bytes for each */
  readonly memory?: readonly Uint8Array[] | undefined;
}

/** A WAL file as repositories store it. */
export interface SealedWalFile {
  /** bytes of the file */
  readonly size: number;
  /** of the file: `contentDigestHex` */
  readonly digest: string;
  /** whose WAL it is, by a segment's own header; undefined for a `.history` or `.backup` file, which do not say */
  readonly identity: ClusterIdentity | undefined;
  readonly bodies: readonly Uint8Array[];
  /** where the memory of the bodies is used again: gives it back; they must not be touched any more */
  readonly release?: () => void;
}

/**
 * Reads a WAL file, checks that it is what its name says, and seals it. All on the calling thread, in one pass over small
 * buffers. Throws `io` when it cannot be read, `corrupt` when it is not what its name says.
 */
export async function sealWalFile(
  path: string,
  options: SealWalFileOptions,
  workspace = new SealWorkspace(options.level),
): Promise<SealedWalFile> {
  const file = open(path);
  try {
    const { size } = fstatSync(file);
    const check = new WalContentCheck(options.name);
    const sealer = await ObjectSealer.begin({ ...options, workspace, size });
    for (let done = 0; done < size;) {
      const piece = workspace.plain.subarray(0, size - done);
      fill(file, piece, done, path);
      check.write(piece);
      sealer.write(piece);
      done += piece.length;
    }
    const header = check.end();
    const identity = header === undefined ? undefined : identityOf(header, options.name);
    return { size, identity, ...sealer.end() };
  } catch (error) {
    if (isPgarkError(error) || errnoOf(error) === undefined) throw error;
    throw ioError("read WAL file", path, error);
  } finally {
    closeSync(file);
  }
}

function open(path: string): number {
  try {
    return openSync(path, "r");
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw ioError("read WAL file", path, error);
    throw new PgarkError("io", "there is no such file", {
      operation: "read WAL file",
      object: path,
      cause: error,
      hint: "a relative path, as PostgreSQL gives it, is looked for in the working directory: run it in the data directory",
    });
  }
}

function fill(file: number, target: Buffer, position: number, path: string): void {
  for (let filled = 0; filled < target.length;) {
    const count = readSync(file, target, filled, target.length - filled, position + filled);
    if (count === 0) {
      throw new PgarkError("io", "the file became shorter while it was read", {
        operation: "read WAL file",
        object: path,
        hint: "PostgreSQL keeps a segment until it is archived: see what else writes to pg_wal",
      });
    }
    filled += count;
  }
}

function identityOf({ majorVersion, systemIdentifier, magic }: WalHeader, name: WalFileName): ClusterIdentity {
  if (majorVersion !== undefined) return { majorVersion, systemIdentifier };
  throw new PgarkError("corrupt", `WAL of an unknown PostgreSQL version (page magic 0x${magic.toString(16)})`, {
    operation: "push",
    object: name.name,
    hint: "this pgark knows PostgreSQL 14 to 18",
  });
}
