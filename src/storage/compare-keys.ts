/** Byte order of keys in UTF-8, in which every store lists: not that of JavaScript's strings beyond the basic plane. */
export function compareKeys(a: string, b: string): number {
  // Where both are ASCII, as all keys of pgark's are, the two orders agree and the cheap one does.
  if (isAscii(a) && isAscii(b)) return a < b ? -1 : a > b ? 1 : 0;
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

function isAscii(text: string): boolean {
  // oxlint-disable-next-line no-control-regex
  return /^[\x00-\x7f]*$/.test(text);
}
