/** Byte order of keys in UTF-8, in which every store lists: not that of JavaScript's strings beyond the basic plane. */
export function compareKeys(a: string, b: string): number {
  if (isOrderedAlike(a) && isOrderedAlike(b)) return a < b ? -1 : a > b ? 1 : 0;
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

/** Puts keys, or parts of them, in byte order; the given array itself. */
export function sortKeys(keys: string[]): string[] {
  return keys.every(isOrderedAlike) ? keys.sort() : keys.sort(compareKeys);
}

/**
 * Without surrogates, which UTF-8 puts behind all other characters and UTF-16 before some, the two orders agree. Node answers
 * this at once for strings of one byte a character, as all keys of pgark's are, without looking at them.
 */
function isOrderedAlike(text: string): boolean {
  return !/[\ud800-\udfff]/.test(text);
}
