/**
 * The one contract between pgark and whatever keeps its bytes. A driver is one folder under `drivers/`.
 *
 * What every driver must keep, and the conformance suite proves:
 * - **Durable.** When a write returns, the object survives a crash of the machine (file: fsync of file and directories).
 * - **Whole or not at all.** No reader ever sees part of an object; a writer that dies leaves nothing under the key.
 * - **Create only.** With `ifAbsent`, exactly one of any number of concurrent writers of a key wins; the others get `exists`.
 *   A store that cannot do so says `conditionalCreate: false`.
 * - **Read after write.** A returned write is seen by every later get, head and list.
 * - **Typed errors.** `PgarkError` with code `not-found` only when the store answered so positively; `exists`, `denied`,
 *   `throttled`, `unavailable`, `corrupt` otherwise. Never `not-found` for "could not find out".
 * - **Keys** are relative paths of printable characters without a leading slash; lists come in byte order of the keys.
 */
export interface ObjectStore {
  /** where it is, for people; holds no secrets */
  readonly url: string;
  readonly capabilities: StoreCapabilities;

  /** Writes a whole small object (up to about 32 MiB) at once. */
  put(key: string, body: Uint8Array, options: PutOptions): Promise<void>;

  /** Begins a large object whose size is not known. Parts may be sent concurrently; the object appears with `complete`. */
  beginUpload(key: string, options: PutOptions): Promise<Upload>;

  /** The bytes of an object, or of a range of it; a range past the end is cut, one that begins at or past the end is empty. */
  get(key: string, options?: GetOptions): Promise<Uint8Array>;

  head(key: string, options?: SignalOption): Promise<ObjectInfo>;

  /** Objects whose key begins with `prefix`, in byte order, after `startAfter` when given. */
  list(prefix: string, options?: ListOptions): AsyncIterable<ObjectInfo>;

  /** `list` without what it costs extra; only of drivers for which it does. Callers take src/storage/list-lazily.ts. */
  listLazily?(prefix: string, options?: ListOptions): AsyncIterable<ListedObject>;

  /** The distinct next path components below `prefix` (which ends in "/" or is empty), each with its trailing slash. */
  listFolders(prefix: string, options?: SignalOption): Promise<readonly string[]>;

  /**
   * Deletes objects, durably; keys that do not exist are not an error. One that the store refuses to delete does not keep it
   * from the others: when they are gone, the first refusal is thrown, and `undeletedOf` tells which keys are still there.
   */
  delete(keys: readonly string[], options?: SignalOption): Promise<void>;

  /** Uploads that ended without a word, where the store keeps such and tells of them. */
  readonly leftovers?: Leftovers;

  /**
   * Why the bytes of deleted objects are not free at once, as a sentence without a full stop; undefined when they are, or when
   * the store does not tell. Never throws for a permission that is missing.
   */
  whyDeletedStays?(options?: SignalOption): Promise<string | undefined>;

  close(): Promise<void>;
}

export interface StoreCapabilities {
  /** bytes of each part of a large object but the last */
  readonly partSize: number;
  /** whether `ifAbsent` is atomic */
  readonly conditionalCreate: boolean;
}

export interface ObjectInfo {
  readonly key: string;
  /** bytes as stored */
  readonly size: number;
  readonly modified: Date;
}

/** An object in a list whose size and time are looked up when they are asked for. */
export interface ListedObject {
  readonly key: string;
  /** undefined when it was deleted meanwhile */
  readonly info: () => ObjectInfo | undefined;
}

export interface SignalOption {
  readonly signal?: AbortSignal | undefined;
}

export interface PutOptions extends SignalOption {
  /** create only: fail with `exists` when the key is taken */
  readonly ifAbsent: boolean;
}

export interface GetOptions extends SignalOption {
  readonly range?: ByteRange | undefined;
  /** memory of at least the range's length that the bytes may be read into; what is returned may then lie in it */
  readonly into?: Uint8Array | undefined;
}

/** `length` bytes from `offset` on. */
export interface ByteRange {
  readonly offset: number;
  readonly length: number;
}

export interface ListOptions extends SignalOption {
  readonly startAfter?: string | undefined;
}

/** What killed writers leave behind in a store: bytes that cost, and that no list of objects shows. */
export interface Leftovers {
  /** Uploads that were begun and neither completed nor aborted, of keys that begin with `prefix` where the store knows keys. */
  list(prefix: string, options?: SignalOption): AsyncIterable<Leftover>;
  /** Forgets one. That it is gone already is not an error. */
  remove(leftover: Leftover, options?: SignalOption): Promise<void>;
}

export interface Leftover {
  /** of the object that it was to be, or the file that it is */
  readonly key: string;
  /** the store's own name for the upload */
  readonly id: string;
  /** when it was last written, or begun, whichever the store knows */
  readonly modified: Date;
}

/** A large object in the making. All parts but the last have the store's `partSize` bytes. */
export interface Upload {
  /** Sends part `index` (from 0). The buffer may be reused once the promise resolves. */
  part(index: number, body: Uint8Array): Promise<void>;
  /** Makes the object appear, durable and whole, or throws `exists`. */
  complete(): Promise<void>;
  /** Forgets everything that was sent. Never throws for an upload that is gone already. */
  abort(): Promise<void>;
}
