/**
 * Gives the memory of bytes that nobody needs any more back at once. Ciphers return new memory each time; left to the garbage
 * collector, a third of what encryption costs is spent on it. Bytes that share their memory with others are left alone.
 */
export function freeMemory({ buffer, byteLength }: Uint8Array): void {
  if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength) buffer.transfer(0);
}
