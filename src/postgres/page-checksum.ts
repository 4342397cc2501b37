/**
 * Data page checksums as PostgreSQL computes them (src/include/storage/checksum_impl.h): 32 lanes of a variant of FNV-1a over
 * the page's 32-bit words, folded by XOR, with the block number mixed in. Words are read in the machine's own byte order, as
 * PostgreSQL does.
 */

const LANES = 32;
const FNV_PRIME = 16777619;

/** checksumBaseOffsets: what each lane begins with. */
const LANE_OFFSETS = new Int32Array([
  0x5b1f36e9, 0xb8525960, 0x02ab50aa, 0x1de66d2a, 0x79ff467a, 0x9bb9f8a3, 0x217e7cd2, 0x83e13d2c, 0xf8d4474f,
  0xe39eb970, 0x42c6ae16, 0x993216fa, 0x7b093b5d, 0x98daff3c, 0xf718902a, 0x0b1c9cdb, 0xe58f764b, 0x187636bc,
  0x5d7b3bb1, 0xe73de7de, 0x92bec979, 0xcca6c0b2, 0x304a0979, 0x85aa43d4, 0x783125bb, 0x6ca8eaa2, 0xe407eac6,
  0x4b5cfc3e, 0x9fbf8c76, 0x15ca20be, 0xf2ca9fd3, 0x959bd756,
]);

/** The word of a page header with pd_checksum (low half) and pd_flags (high half). */
const CHECKSUM_WORD = 2;
/** The word of a page header with pd_lower (low half) and pd_upper (high half). */
const UPPER_WORD = 3;

/**
 * The checksum that the page at `start` must have as block `blockNumber` of its relation, 1 to 65535.
 * @param words a view of the buffer that the page lies in
 * @param start index in `words` of the page's first word
 * @param wordsPerPage the page's size in 32-bit words, a multiple of 32
 */
export function pageChecksum(words: Int32Array, start: number, wordsPerPage: number, blockNumber: number): number {
  const end = start + wordsPerPage;
  // pd_checksum counts as 0 while it is computed; the page itself is left alone
  const checksumWord = (words[start + CHECKSUM_WORD] as number) & 0xffff0000;
  let folded = fourLanes(words, start, end, 0, checksumWord);
  for (let lane = 4; lane < LANES; lane += 4) {
    folded ^= fourLanes(words, start, end, lane, words[start + lane + CHECKSUM_WORD] as number);
  }
  return (((folded ^ blockNumber) >>> 0) % 65535) + 1;
}

/**
 * The pages of a relation file whose checksum does not hold, as indices into `buffer`. Pages that are new (pd_upper 0) have
 * none and pass; bytes after the last whole page are not looked at. A mismatch is proof of damage only when the page stays
 * the same on a second read: a server writing it just then tears it.
 * @param length bytes of `buffer` that are filled
 * @param firstBlock the block number of the first page: file segment x blocks per file segment + index within the file
 * @param blockSize bytes of a page
 */
export function findBadPages(buffer: Uint8Array, length: number, firstBlock: number, blockSize: number): number[] {
  const words = wordsOf(buffer, length);
  const wordsPerPage = blockSize >>> 2;
  const pages = Math.floor(length / blockSize);
  const bad: number[] = [];
  for (let index = 0; index < pages; index++) {
    const start = index * wordsPerPage;
    if ((words[start + UPPER_WORD] as number) >>> 16 === 0) continue;
    const stored = (words[start + CHECKSUM_WORD] as number) & 0xffff;
    if (pageChecksum(words, start, wordsPerPage, firstBlock + index) !== stored) bad.push(index);
  }
  return bad;
}

/** Four neighbouring lanes, kept in locals: several times as fast as an array of 32 sums. */
function fourLanes(words: Int32Array, start: number, end: number, lane: number, thirdWord: number): number {
  const first = start + lane;
  let a = mix(LANE_OFFSETS[lane] as number, words[first] as number);
  let b = mix(LANE_OFFSETS[lane + 1] as number, words[first + 1] as number);
  let c = mix(LANE_OFFSETS[lane + 2] as number, thirdWord);
  let d = mix(LANE_OFFSETS[lane + 3] as number, words[first + 3] as number);
  for (let at = first + LANES; at < end; at += LANES) {
    a = mix(a, words[at] as number);
    b = mix(b, words[at + 1] as number);
    c = mix(c, words[at + 2] as number);
    d = mix(d, words[at + 3] as number);
  }
  // two rounds of zeroes let the last words reach all bits
  return mix(mix(a, 0), 0) ^ mix(mix(b, 0), 0) ^ mix(mix(c, 0), 0) ^ mix(mix(d, 0), 0);
}

/** CHECKSUM_COMP */
function mix(sum: number, word: number): number {
  const mixed = sum ^ word;
  return Math.imul(mixed, FNV_PRIME) ^ (mixed >>> 17);
}

function wordsOf(buffer: Uint8Array, length: number): Int32Array {
  const aligned = buffer.byteOffset % 4 === 0 ? buffer : Uint8Array.from(buffer.subarray(0, length));
  return new Int32Array(aligned.buffer, aligned.byteOffset, length >>> 2);
}
