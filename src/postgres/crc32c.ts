import { crc32c } from "@node-rs/crc32";

/**
 * CRC-32C over ranges of one buffer, for many short ranges: the native function costs 100 ns a call and a view, the table
 * 0.5 ns a byte, so short ranges go by the table (slicing by eight). CRCs are finished ones, as signed 32-bit integers, and 0
 * is the CRC of nothing.
 */
export class RangeCrc32c {
  readonly bytes: Uint8Array;
  /** `bytes` in the machine's 32-bit words */
  readonly words: Int32Array;
  readonly #table: Int32Array;

  /** Bytes whose place in memory is no multiple of four are copied. */
  constructor(bytes: Uint8Array, table: Int32Array = makeTable()) {
    this.bytes = bytes.byteOffset % 4 === 0 ? bytes : Uint8Array.from(bytes);
    this.words = new Int32Array(this.bytes.buffer, this.bytes.byteOffset, this.bytes.length >>> 2);
    this.#table = table;
  }

  /** The same table for another buffer. */
  over(bytes: Uint8Array): RangeCrc32c {
    return new RangeCrc32c(bytes, this.#table);
  }

  /** The CRC of what `crc` stands for, followed by the bytes from `start`, a multiple of eight, to `end`. */
  update(start: number, end: number, crc: number): number {
    if (end - start > NATIVE_FROM) return crc32c(this.bytes.subarray(start, end), crc >>> 0) | 0;
    const table = this.#table;
    const words = this.words;
    let state = ~crc;
    const wordsEnd = (end >>> 3) << 1;
    for (let at = start >>> 2; at < wordsEnd; at += 2) {
      const low = (words[at] as number) ^ state;
      const high = words[at + 1] as number;
      state =
        (table[1792 + (low & 255)] as number) ^
        (table[1536 + ((low >>> 8) & 255)] as number) ^
        (table[1280 + ((low >>> 16) & 255)] as number) ^
        (table[1024 + (low >>> 24)] as number) ^
        (table[768 + (high & 255)] as number) ^
        (table[512 + ((high >>> 8) & 255)] as number) ^
        (table[256 + ((high >>> 16) & 255)] as number) ^
        (table[high >>> 24] as number);
    }
    const bytes = this.bytes;
    for (let at = wordsEnd << 2; at < end; at++) {
      state = (state >>> 8) ^ (table[(state ^ (bytes[at] as number)) & 255] as number);
    }
    return ~state;
  }
}

/** The CRC of two pieces, one behind the other, from their CRCs and the length of the second. */
export function joinCrc32c(first: number, second: number, secondLength: number): number {
  return multiply(powerOfX(secondLength), first) ^ second;
}

/** The CRC of what follows a beginning, from the CRC of the whole, that of the beginning, and the length of what follows. */
export function restCrc32c(whole: number, beginning: number, restLength: number): number {
  return joinCrc32c(beginning, whole, restLength);
}

/** Longer ranges than this, in bytes, are quicker by the native function, call and all (measured: even at 250). */
const NATIVE_FROM = 256;

/** Castagnoli's polynomial, lowest bit first. */
const POLYNOMIAL = 0x82f63b78;

/** Eight tables of 256: what a byte does to the CRC when 0 to 7 bytes follow it. */
function makeTable(): Int32Array {
  const table = new Int32Array(8 * 256);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = timesX(crc);
    table[byte] = crc;
  }
  for (let at = 256; at < table.length; at++) {
    const before = table[at - 256] as number;
    table[at] = (before >>> 8) ^ (table[before & 255] as number);
  }
  return table;
}

function timesX(value: number): number {
  return (value & 1) === 0 ? value >>> 1 : (value >>> 1) ^ POLYNOMIAL;
}

/** The product of two polynomials modulo Castagnoli's; bit 31 is the coefficient of 1. */
function multiply(a: number, b: number): number {
  let product = 0;
  let shifted = b;
  for (let bit = 31; bit >= 0; bit--) {
    if (((a >>> bit) & 1) === 1) product ^= shifted;
    shifted = timesX(shifted);
  }
  return product;
}

/** What `length` bytes of zeros multiply a CRC by. */
function powerOfX(length: number): number {
  let result = 1 << 31;
  let power = 1 << 23;
  for (let rest = length; rest > 0; rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) result = multiply(power, result);
    power = multiply(power, power);
  }
  return result;
}
