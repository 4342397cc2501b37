import { isPgarkError, PgarkError } from "../errors.ts";
import type { ClusterIdentity } from "../postgres/cluster-identity.ts";
import type { GetOptions, SignalOption } from "../storage/object-store.ts";
import { contentDigestHex } from "./envelope/content-digest.ts";
import { headReadSize, readObjectHead } from "./envelope/object-head.ts";
import type { ObjectHead } from "./envelope/object-head.ts";
import { openObject, sealObject } from "./envelope/whole-object.ts";
import { walKey } from "./layout.ts";
import type { Repository } from "./repository.ts";

/** Sealed objects above this go up in parts; only segments of 64 MB and more come near it. */
const largestPut = 32 * 1024 * 1024;

interface WalPlace extends SignalOption {
  readonly identity: ClusterIdentity;
  /** the name that PostgreSQL gave the file */
  readonly name: string;
  /** who stores it: a host name */
  readonly host: string;
}

export interface StoreWalOptions extends WalPlace {
  readonly plain: Uint8Array;
  readonly level: number;
  readonly now: Date;
}

export interface PutSealedWalOptions extends WalPlace {
  /** the object, sealed to `walRecipients` */
  readonly sealed: Uint8Array;
  /** of its plain content: `contentDigestHex` */
  readonly digest: string;
}

export interface StoredWal {
  readonly outcome: "pushed" | "already-there";
  readonly key: string;
  readonly storedBytes: number;
}

/** Who a WAL file is encrypted to. Hosts read timeline histories with their own keys. */
export function walRecipients(repository: Repository, name: string): readonly string[] {
  return name.endsWith(".history") ? repository.metadataRecipients : repository.recipients;
}

/** Seals a WAL file and stores it as `putSealedWal` does. */
export async function storeWal(repository: Repository, options: StoreWalOptions): Promise<StoredWal> {
  const { plain, name, level } = options;
  const recipients = walRecipients(repository, name);
  const sealed = await sealObject(plain, { recipients, level, writer: options.host, now: options.now });
  return putSealedWal(repository, { ...options, sealed, digest: contentDigestHex(plain) });
}

/**
 * Stores a WAL file under its name, once and for ever. The same content again is success; other content is a `conflict` that
 * names both writers, and stays one.
 */
export async function putSealedWal(repository: Repository, options: PutSealedWalOptions): Promise<StoredWal> {
  const { identity, name, sealed, digest, signal } = options;
  const key = walKey(repository.cluster, identity, name, repository.encrypted);
  try {
    await putOnce(repository, key, sealed, { signal });
    return { outcome: "pushed", key, storedBytes: sealed.length };
  } catch (error) {
    if (!isPgarkError(error, "exists")) throw error;
  }
  const there = await readHead(repository, key, { signal });
  if (there?.digest === digest) return { outcome: "already-there", key, storedBytes: sealed.length };
  throw conflict(options, key, there);
}

async function putOnce(repository: Repository, key: string, body: Uint8Array, options: SignalOption): Promise<void> {
  if (body.length <= largestPut) {
    await repository.store.put(key, body, { ifAbsent: true, ...options });
    return;
  }
  const upload = await repository.store.beginUpload(key, { ifAbsent: true, ...options });
  try {
    const { partSize } = repository.store.capabilities;
    for (let index = 0; index * partSize < body.length; index++) {
      await upload.part(index, body.subarray(index * partSize, (index + 1) * partSize));
    }
    await upload.complete();
  } catch (error) {
    await upload.abort();
    throw error;
  }
}

/** What the head of a stored object says in the clear; undefined when it says nothing that can be read. */
export async function readHead(
  repository: Repository,
  key: string,
  options: SignalOption,
): Promise<ObjectHead | undefined> {
  return readObjectHead(await repository.store.get(key, { range: { offset: 0, length: headReadSize }, ...options }));
}

function conflict(options: PutSealedWalOptions, key: string, there: ObjectHead | undefined): PgarkError {
  const other =
    there === undefined
      ? "an object whose head cannot be read"
      : `${there.writer} wrote other content (blake3 ${there.digest.slice(0, 12)}…) at ${there.written.toISOString()}`;
  return new PgarkError(
    "conflict",
    `the repository already holds a different ${options.name}: ${other}; ` +
      `this one is from ${options.host} (blake3 ${options.digest.slice(0, 12)}…)`,
    {
      operation: "push",
      object: key,
      facts: {
        there: there?.digest,
        thereWriter: there?.writer,
        here: options.digest,
        hereWriter: options.host,
      },
      hint:
        "two servers archive under one cluster name, or a restored copy archives into its source's history; " +
        "nothing was overwritten: stop the one that does not belong, or give it a cluster name of its own",
    },
  );
}

/** A WAL file as it is stored. Throws `not-found` only when the store said so. */
export async function getSealedWal(
  repository: Repository,
  identity: ClusterIdentity,
  name: string,
  options: Omit<GetOptions, "range">,
): Promise<Uint8Array> {
  return repository.store.get(walKey(repository.cluster, identity, name, repository.encrypted), options);
}

/** The plain content of a stored WAL file, authenticated. Throws `not-found` only when the store said so. */
export async function loadWal(
  repository: Repository,
  identity: ClusterIdentity,
  name: string,
  options: SignalOption,
): Promise<Uint8Array> {
  const key = walKey(repository.cluster, identity, name, repository.encrypted);
  const stored = await getSealedWal(repository, identity, name, options);
  try {
    return (await openObject(stored, { encrypted: repository.encrypted, identities: repository.secretKeys })).plain;
  } catch (error) {
    if (!isPgarkError(error)) throw error;
    throw new PgarkError(error.code, error.message, {
      operation: "fetch",
      object: key,
      hint: error.hint ?? "the object in the repository is damaged; another copy of this file is the only way past it",
      cause: error,
    });
  }
}
