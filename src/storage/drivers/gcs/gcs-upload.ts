import { isPgarkError, PgarkError, throwIfAborted } from "../../../errors.ts";
import type { PutOptions, Upload } from "../../object-store.ts";
import { GcsSession } from "./gcs-session.ts";
import type { GcsStore } from "./gcs-store.ts";

export interface GcsUploadOptions {
  readonly store: GcsStore;
  readonly key: string;
  readonly options: PutOptions;
  readonly token: string;
}

/** So many parts that came too early are kept, so that their sender need not wait for the one that is missing. */
const maxHeld = 4;

/**
 * Parts in any order over a session that takes them in sequence: a part waits until those before it were sent. A last part that
 * is not full is kept until `complete`, for it would make the object appear. What is less than one part is a plain put.
 */
export class GcsUpload implements Upload {
  readonly #about: GcsUploadOptions;
  readonly #stop = new AbortController();
  readonly #signal: AbortSignal;
  /** begun with the first full part; an error when the name was found taken, which only `complete` says */
  #session: Promise<GcsSession | PgarkError> | undefined;
  /** by index of part: resolves when all parts before it were sent, or when none will be any more */
  readonly #turns: PromiseWithResolvers<void>[] = [];
  /** parts from here on that were handed over; the one here was not */
  readonly #early = new Set<number>();
  #firstMissing = 0;
  #last = 0;
  #held = 0;
  #tail: { readonly index: number; readonly body: Uint8Array } | undefined;
  #failure: Error | undefined;
  #done = false;

  constructor(about: GcsUploadOptions) {
    const { signal } = about.options;
    this.#about = about;
    this.#signal = signal === undefined ? this.#stop.signal : AbortSignal.any([signal, this.#stop.signal]);
    this.#turn(0).resolve();
  }

  async part(index: number, body: Uint8Array): Promise<void> {
    this.#check();
    this.#early.add(index);
    while (this.#early.delete(this.#firstMissing)) this.#firstMissing++;
    this.#last = Math.max(this.#last, index);
    const isFull = body.length === this.#about.store.capabilities.partSize;
    if (!isFull) this.#tail = { index, body: Uint8Array.from(body) }; // the caller may reuse its buffer
    if (this.#tail !== undefined && this.#tail.index < this.#last)
      throw this.#refuse("a part before the last is not full");
    if (!isFull) return;
    const isEarly = index > this.#firstMissing;
    if (!isEarly || this.#held >= maxHeld) return this.#send(index, body);
    this.#held++;
    void this.#send(index, Uint8Array.from(body))
      .catch(() => undefined) // the failure is kept, for whoever comes next
      .finally(() => this.#held--);
  }

  async complete(): Promise<void> {
    const { store, key, options } = this.#about;
    this.#check();
    const tail = this.#tail?.body ?? new Uint8Array();
    const fullParts = this.#tail?.index ?? this.#firstMissing;
    if (this.#early.size > 0) throw this.#refuse("parts are missing");
    if (this.#session === undefined) {
      await store.put(key, tail, { ...options, signal: this.#signal });
    } else {
      const session = await this.#session;
      await this.#turn(fullParts).promise;
      this.#check();
      await this.#finish(session, tail);
    }
    this.#done = true;
  }

  async abort(): Promise<void> {
    const { key } = this.#about;
    this.#stop.abort();
    this.#tail = undefined;
    this.#fail(new PgarkError("aborted", "the upload was aborted", { operation: "write object", object: key }));
    const session = await this.#session?.catch(() => undefined);
    if (session instanceof GcsSession && !this.#done) await session.cancel();
  }

  async #send(index: number, body: Uint8Array): Promise<void> {
    try {
      this.#session ??= this.#begin();
      const session = await this.#session;
      await this.#turn(index).promise;
      this.#check();
      if (session instanceof GcsSession) await session.append(body);
      this.#turn(index + 1).resolve();
    } catch (error) {
      this.#fail(error);
      throw error;
    }
  }

  async #begin(): Promise<GcsSession | PgarkError> {
    const { store, key, token, options } = this.#about;
    try {
      return await store.beginSession(key, token, { ...options, signal: this.#signal });
    } catch (error) {
      if (!isPgarkError(error, "exists")) throw error;
      return error;
    }
  }

  /** After an answer that was lost, the next may be "exists" or "gone" although it was this upload that made the object. */
  async #finish(session: GcsSession | PgarkError, tail: Uint8Array): Promise<void> {
    const { store, key, token, options } = this.#about;
    const problem = session instanceof GcsSession ? await this.#problem(session, tail) : session;
    if (problem !== undefined) await store.settle(problem, key, token, options);
  }

  async #problem(session: GcsSession, tail: Uint8Array): Promise<PgarkError | undefined> {
    const { store, key } = this.#about;
    try {
      const finished = await session.finish(tail);
      if (finished !== "gone") {
        await store.checkStored(key, finished.answer, finished);
        return undefined;
      }
    } catch (error) {
      if (!isPgarkError(error, "exists")) throw error;
      return error;
    }
    const operation = "complete object";
    return new PgarkError("unavailable", "the upload session was lost", { operation, object: key });
  }

  #refuse(problem: string): PgarkError {
    const error = new PgarkError("refused", problem, { operation: "write object", object: this.#about.key });
    this.#fail(error);
    return error;
  }

  #turn(index: number): PromiseWithResolvers<void> {
    return (this.#turns[index] ??= Promise.withResolvers());
  }

  /** Nothing is sent any more; whoever waits for a turn is told why. */
  #fail(error: unknown): void {
    this.#failure ??= error instanceof Error ? error : new Error(String(error));
    for (const turn of this.#turns) turn?.resolve();
  }

  #check(): void {
    throwIfAborted(this.#about.options.signal, "write object");
    if (this.#failure !== undefined) throw this.#failure;
  }
}
