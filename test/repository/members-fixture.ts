import { PgarkError } from "../../src/errors.ts";
import type { Log } from "../../src/log.ts";
import { sealObject } from "../../src/repository/envelope/whole-object.ts";
import { initRepository } from "../../src/repository/init-repository.ts";
import { identityKey, walFolder, walKey } from "../../src/repository/layout.ts";
import { RepositoryMember } from "../../src/repository/members.ts";
import type { Repository } from "../../src/repository/repository.ts";
import { openRepository } from "../../src/repository/repository.ts";
import { MemoryStore } from "../../src/storage/drivers/memory/memory-store.ts";
import type { ListOptions, ObjectInfo, PutOptions } from "../../src/storage/object-store.ts";
import { identity, type Keys, moment, walSegmentSize } from "./backup-fixture.ts";

export const down = (): PgarkError =>
  new PgarkError("unavailable", "the store does not answer", { operation: "ask store" });

export function segment(number: number): string {
  return `0000000100000000${number.toString(16).toUpperCase().padStart(8, "0")}`;
}

/** A store in memory that fails or hangs as the test says. */
export class FickleStore extends MemoryStore {
  /** whether nothing works */
  isDown = false;
  /** while set, writes fail with it */
  refusal: PgarkError | undefined;
  /** writes wait for it */
  gate: Promise<void> | undefined;
  lists = 0;
  writes = 0;

  override async put(key: string, body: Uint8Array, options: PutOptions): Promise<void> {
    this.#ask();
    this.writes++;
    const gate = this.gate;
    if (gate !== undefined) await orAborted(gate, options.signal);
    this.#ask();
    if (this.refusal !== undefined) throw this.refusal;
    return super.put(key, body, options);
  }

  override async get(...args: Parameters<MemoryStore["get"]>): Promise<Uint8Array> {
    this.#ask();
    return super.get(...args);
  }

  override async *list(prefix: string, options?: ListOptions): AsyncIterable<ObjectInfo> {
    this.#ask();
    this.lists++;
    yield* super.list(prefix, options);
  }

  #ask(): void {
    if (this.isDown) throw down();
  }
}

async function orAborted(work: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
  const { promise, reject } = Promise.withResolvers<never>();
  signal?.addEventListener("abort", () => reject(new PgarkError("aborted", "stopped", { operation: "write" })));
  await Promise.race([work, promise]);
}

/** One repository of several, and what is behind it. */
export interface Place {
  readonly member: RepositoryMember;
  readonly store: FickleStore;
  readonly repository: Repository;
  /** what its store takes for the time */
  readonly clock: { now: Date };
  /** the WAL files that it has */
  readonly wal: () => Promise<readonly string[]>;
}

export async function newPlace(name: string, keys?: Keys): Promise<Place> {
  const clock = { now: moment };
  const store = new FickleStore(() => clock.now);
  await initRepository({
    store,
    cluster: "main",
    identity,
    walSegmentSize,
    recipients: keys === undefined ? [] : [keys.owner.recipient],
    hostRecipients: keys === undefined ? [] : [keys.host.recipient],
    now: moment,
  });
  const open = (): Promise<Repository> =>
    openRepository({
      store,
      cluster: "main",
      identities: keys === undefined ? [] : [keys.owner.identity],
      recipients: [],
    });
  const member = new RepositoryMember(`memory://${name}`, open);
  const wal = async (): Promise<readonly string[]> => {
    const names: string[] = [];
    for await (const { key } of MemoryStore.prototype.list.call(store, walFolder("main", identity)))
      names.push(key.slice(key.lastIndexOf("/") + 1).replace(/\.zst(\.age)?$/, ""));
    return names;
  };
  return { member, store, repository: await open(), clock, wal };
}

export async function newPlaces(count: number, keys?: Keys): Promise<readonly Place[]> {
  return Promise.all(Array.from({ length: count }, (_, index) => newPlace(`r${index + 1}`, keys)));
}

/** Takes a repository's records away, as when a disk is unmounted. */
export async function unmount({ store }: Place): Promise<void> {
  await store.delete([identityKey("main", identity)]);
}

export function sealed(content: string, recipients: readonly string[] = [], now = moment): Promise<Uint8Array> {
  return sealObject(Buffer.from(content), { recipients, level: 1, writer: "db0", now });
}

/** Puts files there as they are, without asking whether the store would. */
export async function plant({ store, repository }: Place, names: readonly string[], body?: Uint8Array): Promise<void> {
  const object = body ?? (await sealed("content", repository.recipients));
  for (const name of names) {
    const key = walKey("main", identity, name, repository.encrypted);
    await MemoryStore.prototype.put.call(store, key, object, { ifAbsent: false });
  }
}

/** Keeps what is logged. */
export class KeepingLog implements Log {
  readonly lines: string[] = [];

  debug(): void {}

  info(message: string): void {
    this.lines.push(`info: ${message}`);
  }

  warn(message: string): void {
    this.lines.push(`warn: ${message}`);
  }
}
