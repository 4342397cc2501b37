import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { PgarkError } from "../src/errors.ts";
import type { ErrorCode } from "../src/errors.ts";
import { retry, retryDelayMs } from "../src/retry.ts";

const failing = (code: ErrorCode): PgarkError => new PgarkError(code, "no", { operation: "test" });

function options(attempts: number) {
  const slept: number[] = [];
  return {
    slept,
    attempts,
    firstDelayMs: 100,
    maxDelayMs: 1000,
    random: () => 1,
    sleep: async (milliseconds: number) => void slept.push(milliseconds),
  };
}

describe("retry", () => {
  test.each(["unavailable", "throttled"] as const)(
    "tries again after %s, with longer and longer pauses",
    async (code) => {
      const run = options(6);
      let tries = 0;
      const result = await retry(async () => {
        if (++tries < 6) throw failing(code);
        return "done";
      }, run);
      expect(result).toBe("done");
      expect(run.slept).toEqual([100, 200, 400, 800, 1000]);
    },
  );

  test("gives up after the last attempt, with the error as it came", async () => {
    const run = options(3);
    const errors: PgarkError[] = [];
    await expect(
      retry(() => {
        errors.push(failing("unavailable"));
        return Promise.reject(errors.at(-1));
      }, run),
    ).rejects.toSatisfy((error) => error === errors[2]);
    expect(run.slept).toHaveLength(2);
  });

  test.each(["not-found", "denied", "corrupt", "conflict", "usage", "aborted"] as const)(
    "%s is final",
    async (code) => {
      const run = options(3);
      await expect(retry(() => Promise.reject(failing(code)), run)).rejects.toMatchObject({ code });
      expect(run.slept).toEqual([]);
    },
  );

  test("a bug is final", async () => {
    await expect(retry(() => Promise.reject(new TypeError("x")), options(3))).rejects.toThrow("x");
  });

  test("an abort ends it, before a pause and in one", async () => {
    const run = options(3);
    await expect(
      retry(() => Promise.reject(failing("unavailable")), { ...run, signal: AbortSignal.abort() }),
    ).rejects.toMatchObject({
      code: "unavailable",
    });
    expect(run.slept).toEqual([]);
    const sleep = async (): Promise<void> => {
      throw failing("aborted");
    };
    await expect(retry(() => Promise.reject(failing("unavailable")), { ...run, sleep })).rejects.toMatchObject({
      code: "aborted",
    });
  });
});

test("no pause is longer than the longest or shorter than half of its size", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 60 }), fc.double({ min: 0, max: 1, noNaN: true }), (attempt, chance) => {
      const delay = retryDelayMs(attempt, { firstDelayMs: 100, maxDelayMs: 5000, random: () => chance });
      const full = Math.min(5000, 100 * 2 ** (attempt - 1));
      expect(delay).toBeGreaterThanOrEqual(full / 2);
      expect(delay).toBeLessThanOrEqual(full);
    }),
  );
});
