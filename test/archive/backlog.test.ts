import { expect, test } from "vitest";
import { BacklogWatch } from "../../src/archive/backlog.ts";

test("a backlog is warned of at the threshold and at each doubling, and its end is told once", () => {
  const watch = new BacklogWatch(100);
  const levels = [0, 99, 100, 150, 199, 200, 399, 500, 60, 49, 10, 120].map((files) => watch.see(files)?.level);
  expect(levels).toEqual([
    undefined,
    undefined,
    "warn",
    undefined,
    undefined,
    "warn",
    undefined,
    "warn",
    undefined,
    "info",
    undefined,
    "warn",
  ]);
  expect(watch.see(250)?.message).toContain("250 WAL files");
});

test("a threshold of 0 never warns", () => {
  expect(new BacklogWatch(0).see(1_000_000)).toBeUndefined();
});
