import { isPgarkError } from "../../src/errors.ts";
import type { ErrorCode } from "../../src/errors.ts";
import type { ListOptions, ObjectStore, Upload } from "../../src/storage/object-store.ts";

/** A store that one test has for itself; `second` is another client of the same, as another host would be. */
export interface StoreUnderTest {
  readonly store: ObjectStore;
  readonly second: ObjectStore;
}

export const ifAbsent = { ifAbsent: true };

/** "done", or the code of the error; other errors than pgark's own are thrown. */
export async function codeOf(work: Promise<unknown>): Promise<ErrorCode | "done"> {
  try {
    await work;
    return "done";
  } catch (error) {
    if (!isPgarkError(error)) throw error;
    return error.code;
  }
}

export async function keys(store: ObjectStore, prefix: string, options?: ListOptions): Promise<readonly string[]> {
  const found: string[] = [];
  for await (const { key } of store.list(prefix, options)) found.push(key);
  return found;
}

/** Bytes of which no two neighbouring stretches are the same. */
export function pattern(size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  for (let index = 0; index < size; index++) bytes[index] = (index * 31 + (index >> 8)) & 0xff;
  return bytes;
}

export function same(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

export async function sendPart(upload: Upload, body: Uint8Array, partSize: number, index: number): Promise<void> {
  await upload.part(index, body.subarray(index * partSize, (index + 1) * partSize));
}

export function inOrder(a: string, b: string): boolean {
  return Buffer.compare(Buffer.from(a), Buffer.from(b)) < 0;
}

export function byteOrder(names: readonly string[]): readonly string[] {
  return names.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
}

export function* batches<T>(items: readonly T[], size: number): Generator<readonly T[]> {
  for (let begin = 0; begin < items.length; begin += size) yield items.slice(begin, begin + size);
}
