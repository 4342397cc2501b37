import { expect, test } from "vitest";
import { missingOf } from "./requirements.ts";

test.each([
  [undefined, []],
  ["", []],
  ["zstd", []],
  ["age", ["age"]],
  ["zstd,pgbackrest,age", ["age", "pgbackrest"]],
])("with %j missing, a suite that needs age and pgbackrest lacks %j", (missing, expected) => {
  expect(missingOf(["age", "pgbackrest"], missing)).toEqual(expected);
});
