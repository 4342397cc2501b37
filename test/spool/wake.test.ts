import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Wake } from "../../src/spool/wake.ts";
import { temporaryDirectory } from "../helpers/temp.ts";

const LONG = 600_000;

describe("waiting for files", () => {
  test("ends when a file comes, in any of the folders", async () => {
    await using one = await temporaryDirectory();
    await using other = await temporaryDirectory();
    const wake = new Wake([one.path, other.path]);
    for (const folder of [one.path, other.path]) {
      const waiting = wake.wait(LONG);
      await writeFile(join(folder, "file"), "");
      await expect(waiting).resolves.toBeUndefined();
    }
    wake.close();
  });

  test("ends when a file goes", async () => {
    await using folder = await temporaryDirectory();
    await writeFile(join(folder.path, "file"), "");
    const wake = new Wake([folder.path]);
    const waiting = wake.wait(LONG);
    await rm(join(folder.path, "file"));
    await expect(waiting).resolves.toBeUndefined();
    wake.close();
  });

  test("survives the end of a folder, and of itself", async () => {
    await using folder = await temporaryDirectory();
    const wake = new Wake([folder.path]);
    const waiting = wake.wait(LONG);
    await rm(folder.path, { recursive: true });
    await expect(waiting).resolves.toBeUndefined();
    wake.close();
    expect(() => wake.close()).not.toThrow();
  });
});

describe("waiting", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  /** Whether a wait is over after so much time. */
  async function isOver(waiting: Promise<void>, milliseconds: number): Promise<boolean> {
    const over = vi.fn<() => void>();
    void waiting.then(over);
    await vi.advanceTimersByTimeAsync(milliseconds);
    return over.mock.calls.length > 0;
  }

  test("ends when it is told to, and lasts again the next time", async () => {
    const wake = new Wake([]);
    const waiting = wake.wait(1000);
    wake.now();
    await waiting;
    expect(vi.getTimerCount()).toBe(0);
    expect(await isOver(wake.wait(1000), 999)).toBe(false);
  });

  test("does not begin when something has come since the last wait, once", async () => {
    const wake = new Wake([]);
    wake.now();
    wake.now();
    await wake.wait(1000);
    expect(await isOver(wake.wait(1000), 999)).toBe(false);
  });

  test("ends by itself", async () => {
    const wake = new Wake([]);
    const waiting = wake.wait(1000);
    expect(await isOver(waiting, 999)).toBe(false);
    expect(await isOver(waiting, 1)).toBe(true);
  });

  test("is short when the system does not tell of changes", async () => {
    const wake = new Wake(["/nowhere"]);
    const waiting = wake.wait(1000);
    expect(await isOver(waiting, 49)).toBe(false);
    expect(await isOver(waiting, 1)).toBe(true);
  });
});
