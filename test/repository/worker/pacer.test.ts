import { describe, expect, test } from "vitest";
import { Pacer } from "../../../src/repository/worker/pacer.ts";

/** A clock that only pausing moves. */
function pacedBy(rate: number | undefined): { readonly pacer: Pacer; readonly now: () => number } {
  let time = 5000;
  const pause = (milliseconds: number): void => void (time += milliseconds);
  return { pacer: new Pacer({ rate, now: () => time, pause }), now: () => time - 5000 };
}

const goOn = (): void => {};

describe("a worker that reads at a rate", () => {
  test.each([
    [1_000_000, 10],
    [10_000, 2],
    [100, 1],
  ])("of %d bytes a second takes the time that its bytes are worth", (rate, reads) => {
    const { pacer, now } = pacedBy(rate);
    for (let read = 0; read < reads; read++) pacer.read(262_144, goOn);
    expect(now()).toBeCloseTo((reads * 262_144 * 1000) / rate, -1);
  });

  test("without a limit never waits", () => {
    const { pacer, now } = pacedBy(undefined);
    for (let read = 0; read < 1000; read++) pacer.read(262_144, goOn);
    expect(now()).toBe(0);
  });

  test("is stopped within a second, however long it would have to wait", () => {
    const { pacer, now } = pacedBy(1);
    let asked = 0;
    const stop = (): void => {
      if (++asked === 3) throw new Error("stopped");
    };
    expect(() => pacer.read(262_144, stop)).toThrow("stopped");
    expect(now()).toBeLessThanOrEqual(1000);
  });
});
