import { CheckFailure, check } from "../checks.ts";
import type { OnCheck } from "../checks.ts";
import { isPgarkError } from "../errors.ts";
import type { ObjectStore, SignalOption } from "./object-store.ts";

export interface CheckStoreOptions extends SignalOption {
  /** a folder of one's own, ending in a slash; nothing is left in it */
  readonly prefix: string;
  readonly onCheck: OnCheck;
}

const content = Buffer.from("pgark was here; this object may be deleted\n");

/**
 * Tries on the real store, with the real credentials, everything that the contract asks of it: write, create only, large
 * objects, read, range, list, delete. Stops at the first thing without which the rest means nothing. True when all holds.
 */
export async function checkStore(store: ObjectStore, options: CheckStoreOptions): Promise<boolean> {
  const { prefix, onCheck, signal } = options;
  const small = `${prefix}small`;
  const large = `${prefix}large`;
  const create = { ifAbsent: true, signal };
  const wrote = await check("write", onCheck, async () => {
    await store.put(small, content, create);
    return "an object was created";
  });
  if (!wrote) return false;
  const results = [
    await check("create only", onCheck, () => createOnly(store, small, options)),
    await check("large objects", onCheck, async () => {
      const body = Buffer.alloc(store.capabilities.partSize + 1, 7);
      const upload = await store.beginUpload(large, create);
      try {
        await upload.part(0, body.subarray(0, store.capabilities.partSize));
        await upload.part(1, body.subarray(store.capabilities.partSize));
        await upload.complete();
      } catch (error) {
        await upload.abort();
        throw error;
      }
      const { size } = await store.head(large, { signal });
      if (size !== body.length) throw new CheckFailure(`it has ${size} bytes instead of ${body.length}`);
      return "an object was written in parts";
    }),
    await check("read", onCheck, async () => {
      const read = await store.get(small, { signal });
      if (!content.equals(read)) throw new CheckFailure("the store gave back other bytes than were written");
      const range = await store.get(small, { range: { offset: 6, length: 3 }, signal });
      if (!content.subarray(6, 9).equals(range))
        throw new CheckFailure("a range of an object is not what it should be");
      return "whole and in part, as written";
    }),
    await check("missing objects", onCheck, async () => {
      try {
        await store.get(`${prefix}missing`, { signal });
      } catch (error) {
        if (isPgarkError(error, "not-found")) return "are told from failures";
        throw error;
      }
      throw new CheckFailure("the store gave something for an object that does not exist");
    }),
    await check("list", onCheck, () => listed(store, [large, small], options)),
    await check("delete", onCheck, async () => {
      await store.delete([small, large], { signal });
      for await (const object of store.list(prefix, { signal })) throw new CheckFailure(`${object.key} is still there`);
      return "gone at once";
    }),
  ];
  return results.every(Boolean);
}

async function createOnly(store: ObjectStore, key: string, options: CheckStoreOptions): Promise<string> {
  try {
    await store.put(key, Buffer.from("another writer\n"), { ifAbsent: true, signal: options.signal });
  } catch (error) {
    if (!isPgarkError(error, "exists")) throw error;
    if (store.capabilities.conditionalCreate) return "a second writer is refused by the store";
    return "a second writer is refused by a look before the write, which two at once can pass (conditional-create=no)";
  }
  // Put it back, so that the checks that follow say what they are about.
  await store.put(key, content, { ifAbsent: false, signal: options.signal });
  throw new CheckFailure(
    "the store lets a second writer replace an object",
    "it does not keep If-None-Match: use a store that does, or add ?conditional-create=no to the repository's URL and make " +
      "sure that only one server writes under this cluster's name",
  );
}

async function listed(store: ObjectStore, wanted: readonly string[], options: CheckStoreOptions): Promise<string> {
  const found: string[] = [];
  for await (const object of store.list(options.prefix, { signal: options.signal })) found.push(object.key);
  const missing = wanted.filter((key) => !found.includes(key));
  if (missing.length === 0) return "what was written is seen at once";
  throw new CheckFailure(
    `${missing.join(", ")} is missing from the list`,
    "the credentials may lack the permission to list",
  );
}
