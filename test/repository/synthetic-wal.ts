import { formatTimeline, timelineId } from "../../src/postgres/timeline.ts";
import { MemoryStore } from "../../src/storage/drivers/memory/memory-store.ts";
import type { ListOptions, ObjectInfo } from "../../src/storage/object-store.ts";

export interface SyntheticWalShape {
  /** each but the first has a history */
  readonly timelines: number;
  readonly logsEach: number;
  readonly perLog: number;
  /** of the segments of each timeline, every so many one is missing */
  readonly holeEvery: number;
}

const pageSize = 1000;

/** A WAL folder far too large to keep: its keys are made while it is listed, page by page, and forgotten. */
export class SyntheticWal extends MemoryStore {
  keysGiven = 0;
  listsGiven = 0;
  /** the most that the heap was above where it began */
  heapGrowth = 0;
  readonly #folder: string;
  readonly #shape: SyntheticWalShape;
  readonly #heapBefore = process.memoryUsage().heapUsed;

  constructor(folder: string, shape: SyntheticWalShape) {
    super(() => new Date(0));
    this.#folder = folder;
    this.#shape = shape;
  }

  get holes(): number {
    const { timelines, logsEach, perLog, holeEvery } = this.#shape;
    return timelines * Math.floor((logsEach * perLog) / holeEvery);
  }

  override async listFolders(prefix: string): Promise<readonly string[]> {
    const { timelines, logsEach } = this.#shape;
    const names =
      prefix === this.#folder
        ? Array.from({ length: timelines }, (_, index) => this.#name(index + 1))
        : Array.from({ length: logsEach }, (_, log) => this.#name(log));
    return names.map((name) => `${prefix}${name}/`);
  }

  override async *list(prefix: string, { startAfter }: ListOptions = {}): AsyncIterable<ObjectInfo> {
    if (prefix !== this.#folder) throw new Error(`nobody asks for ${prefix}`);
    this.listsGiven++;
    for (const key of this.#keys(startAfter ?? "")) {
      if (this.keysGiven++ % pageSize === 0) {
        await new Promise((resolve) => setImmediate(resolve));
        this.heapGrowth = Math.max(this.heapGrowth, process.memoryUsage().heapUsed - this.#heapBefore);
      }
      yield { key, size: 1, modified: new Date(0) };
    }
  }

  *#keys(startAfter: string): Generator<string> {
    for (let timeline = 1; timeline <= this.#shape.timelines; timeline++) {
      const name = this.#name(timeline);
      for (let log = 0; log < this.#shape.logsEach; log++) {
        const folder = `${this.#folder}${name}/${this.#name(log)}/`;
        const history = `${this.#folder}${name}/${name}.history.zst`;
        if (log === timeline && timeline > 1 && history > startAfter) yield history;
        // "0" follows "/": all of the folder is before it.
        if (`${folder.slice(0, -1)}0` <= startAfter) continue;
        for (let segment = 0; segment < this.#shape.perLog; segment++) {
          if ((log * this.#shape.perLog + segment + 1) % this.#shape.holeEvery === 0) continue;
          const key = `${folder}${name}${this.#name(log)}${this.#name(segment)}.zst`;
          if (key > startAfter) yield key;
        }
      }
    }
  }

  /** Eight digits, of a timeline or of any other part of a segment's name. */
  #name(part: number): string {
    return formatTimeline(timelineId(part));
  }
}
