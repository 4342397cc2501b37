import type { ListedObject, ListOptions, ObjectStore } from "./object-store.ts";

/**
 * Lists objects whose sizes and times matter only now and then. On a directory each of those is a system call, which is most of
 * the time that a list of millions takes; other stores give them with the keys.
 */
export function listLazily(store: ObjectStore, prefix: string, options: ListOptions): AsyncIterable<ListedObject> {
  return store.listLazily?.(prefix, options) ?? withInfo(store, prefix, options);
}

async function* withInfo(store: ObjectStore, prefix: string, options: ListOptions): AsyncIterable<ListedObject> {
  for await (const info of store.list(prefix, options)) yield { key: info.key, info: () => info };
}
