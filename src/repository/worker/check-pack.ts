import { createHash } from "node:crypto";
import { crc32c } from "@node-rs/crc32";
import { findBadPages } from "../../postgres/page-checksum.ts";
import { PayloadReader } from "../envelope/payload-reader.ts";
import { openZstd } from "../envelope/zstd.ts";
import { FirstDamage } from "./first-damage.ts";
import type { CheckedPack, CheckFile, CheckPackTask, PackFault, PageCheck } from "./check-tasks.ts";
import { Counters } from "./pack-tasks.ts";
import { PartReceiver } from "./shared-parts.ts";

/** Files, or pages of files, that are told one by one; of more there is only the number. */
const mostFaults = 20;

/**
 * Worker: reads a pack as restore does and writes nothing. Damage is an answer, not an error: all parts are taken whatever is in
 * them, so that the digest of the whole says whether it is what was stored.
 */
export function checkPack(task: CheckPackTask): CheckedPack {
  const receiver = new PartReceiver(task.parts, task.port);
  const counters = new Counters(task.counters);
  const hash = createHash("sha256").update(task.header);
  const files = new FileChecker(task.files, task.pages);
  const reader = new PayloadReader({ zstd: openZstd(1), key: task.key, plain: (bytes) => files.write(bytes) });
  const damage = new FirstDamage();
  for (let done = 0; done < task.storedSize;) {
    done += receiver.take((bytes) => {
      hash.update(bytes);
      counters.addBytes(bytes.length);
      damage.attempt(() => reader.write(bytes));
    });
  }
  damage.attempt(() => reader.end());
  const faults: PackFault[] = [];
  if (damage.problem !== undefined) faults.push({ kind: "content", path: files.next, problem: damage.problem });
  else faults.push(...files.end());
  if (hash.digest("hex") !== task.sha256) {
    const problem = "its bytes are not those that were stored: their SHA-256 is not the manifest's";
    faults.push({ kind: "stored", path: undefined, problem });
  }
  return { faults, contents: files.contents };
}

/** Cuts the plain tar into files, and sees whether each is what the manifest says. */
class FileChecker {
  readonly contents: { readonly path: string; readonly content: Uint8Array }[] = [];
  readonly #files: readonly CheckFile[];
  readonly #pages: PageCheck | undefined;
  readonly #pageBuffer: Buffer;
  readonly #faults: PackFault[] = [];
  #more = 0;
  #index = 0;
  #position = 0;
  #open: OpenFile | undefined;

  constructor(files: readonly CheckFile[], pages: PageCheck | undefined) {
    this.#files = files;
    this.#pages = pages;
    this.#pageBuffer = Buffer.allocUnsafeSlow(pages === undefined ? 0 : pagesAtOnce * pages.blockSize);
  }

  /** The first file that was not read to its end. */
  get next(): string | undefined {
    return this.#files[this.#index]?.path;
  }

  write(bytes: Uint8Array): void {
    const end = this.#position + bytes.length;
    for (
      let file = this.#files[this.#index];
      file !== undefined && file.offset <= end;
      file = this.#files[this.#index]
    ) {
      const begin = Math.max(file.offset, this.#position);
      const stop = Math.min(file.offset + file.size, end);
      this.#open ??= new OpenFile(file, this.#pages, this.#pageBuffer);
      if (stop > begin) this.#open.write(bytes.subarray(begin - this.#position, stop - this.#position));
      if (file.offset + file.size > end) break;
      this.#finish(this.#open);
      this.#open = undefined;
      this.#index++;
    }
    this.#position = end;
  }

  end(): readonly PackFault[] {
    for (const { path } of this.#files.slice(this.#index)) {
      this.#add({ kind: "file", path, problem: "the pack ends before the file does" });
    }
    if (this.#more === 0) return this.#faults;
    return [...this.#faults, { kind: "file", path: undefined, problem: `${this.#more} more files have faults` }];
  }

  #finish(open: OpenFile): void {
    const { path, crc32c: expected, wanted } = open.file;
    if (open.crc !== expected) {
      this.#add({ kind: "file", path, problem: "its CRC-32C is not the manifest's" });
      return;
    }
    if (wanted) this.contents.push({ path, content: Buffer.concat(open.content) });
    const problem = open.badPages();
    if (problem !== undefined) this.#add({ kind: "pages", path, problem });
  }

  #add(fault: PackFault): void {
    if (this.#faults.length < mostFaults) this.#faults.push(fault);
    else this.#more++;
  }
}

/** Pages are looked at so many at a time. */
const pagesAtOnce = 32;

class OpenFile {
  crc = 0;
  readonly file: CheckFile;
  readonly content: Uint8Array[] = [];
  readonly #pages: PageCheck | undefined;
  readonly #buffer: Buffer;
  readonly #known: ReadonlySet<number>;
  #filled = 0;
  /** pages before those in the buffer */
  #done = 0;
  #bad: number[] = [];
  #badCount = 0;

  /** @param buffer for pages, as one file after the other needs it */
  constructor(file: CheckFile, pages: PageCheck | undefined, buffer: Buffer) {
    this.file = file;
    this.#pages = file.firstBlock === undefined ? undefined : pages;
    this.#buffer = buffer;
    this.#known = new Set(file.badPages);
  }

  write(bytes: Uint8Array): void {
    this.crc = crc32c(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length), this.crc);
    if (this.file.wanted) this.content.push(Uint8Array.from(bytes));
    if (this.#pages === undefined) return;
    for (let offset = 0; offset < bytes.length;) {
      const taken = Math.min(this.#buffer.length - this.#filled, bytes.length - offset);
      this.#buffer.set(bytes.subarray(offset, offset + taken), this.#filled);
      this.#filled += taken;
      offset += taken;
      if (this.#filled === this.#buffer.length) this.#check(this.#pages);
    }
  }

  /** What is wrong with pages that nobody knew to be bad, in words. */
  badPages(): string | undefined {
    if (this.#pages !== undefined) this.#check(this.#pages);
    if (this.#badCount === 0) return undefined;
    const numbers = this.#bad.join(", ") + (this.#badCount > this.#bad.length ? ", ..." : "");
    return this.#badCount === 1
      ? `the checksum of page ${numbers} does not hold, and did when it was copied`
      : `the checksums of ${this.#badCount} pages do not hold, and did when they were copied: ${numbers}`;
  }

  #check({ blockSize, tornFrom }: PageCheck): void {
    const first = (this.file.firstBlock ?? 0) + this.#done;
    for (const index of findBadPages(this.#buffer, this.#filled, first, blockSize)) {
      if (this.#known.has(this.#done + index)) continue;
      if (tornFrom !== undefined && pageLsn(this.#buffer, index * blockSize) >= tornFrom) continue;
      this.#badCount++;
      if (this.#bad.length < mostFaults) this.#bad.push(this.#done + index);
    }
    this.#done += Math.floor(this.#filled / blockSize);
    this.#filled = 0;
  }
}

/** pd_lsn: when the page was last changed. */
function pageLsn(buffer: Buffer, offset: number): bigint {
  return (BigInt(buffer.readUInt32LE(offset)) << 32n) | BigInt(buffer.readUInt32LE(offset + 4));
}
