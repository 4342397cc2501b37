import { watch } from "node:fs";
import type { FSWatcher } from "node:fs";

/** A process that waits for files: woken by changes in folders where the system tells of them, else by looking often. */
export class Wake {
  readonly #watchers: FSWatcher[] = [];
  #wake: (() => void) | undefined;
  #woken = false;
  /** whether every folder is watched; else `wait` is short */
  readonly #told: boolean;

  constructor(folders: readonly string[]) {
    this.#told = folders.map((folder) => this.#watch(folder)).every(Boolean);
  }

  /** Ends the present wait, or the next one at once. */
  now(): void {
    this.#woken = true;
    this.#wake?.();
  }

  /** Waits until something has changed since the last wait, at most about so many milliseconds. */
  async wait(milliseconds: number): Promise<void> {
    if (!this.#woken) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, this.#told ? milliseconds : Math.min(milliseconds, 50));
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      this.#wake = undefined;
    }
    this.#woken = false;
  }

  close(): void {
    for (const watcher of this.#watchers) watcher.close();
  }

  #watch(folder: string): boolean {
    try {
      const watcher = watch(folder, () => this.now());
      // The folder went away, or watches are used up: the next looks find out.
      watcher.on("error", () => watcher.close());
      this.#watchers.push(watcher);
      return true;
    } catch {
      return false;
    }
  }
}
