import { expect, test } from "vitest";
import { isChosen } from "../../src/verify/sample.ts";

const keys = Array.from({ length: 4000 }, (_, index) => `main/17-1/wal/00000001/00000000/${index}`);

test("a sample has about its share of all objects, the same for one seed and others for another", () => {
  const chosen = (seed: string, share: number): readonly string[] =>
    keys.filter((key) => isChosen({ share, seed }, key));
  expect(chosen("a", 0.05).length).toBeGreaterThan(120);
  expect(chosen("a", 0.05).length).toBeLessThan(280);
  expect(chosen("a", 0.05)).toEqual(chosen("a", 0.05));
  expect(chosen("b", 0.05)).not.toEqual(chosen("a", 0.05));
  expect(chosen("a", 1)).toEqual(keys);
});

test("without a sample everything is chosen", () => {
  expect(keys.every((key) => isChosen(undefined, key))).toBe(true);
});
