import { chmod, mkdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { cacheDirectory, enableCompileCache } from "../../src/cli/compile-cache.ts";
import { temporaryDirectory } from "../helpers/temp.ts";

describe("the compile cache", () => {
  test("lies in a directory that only its user can write to", async () => {
    await using directory = await temporaryDirectory();
    const cache = cacheDirectory({ XDG_CACHE_HOME: directory.path });
    expect(cache).toBe(join(directory.path, "pgark"));
    expect((await stat(cache ?? "")).mode & 0o777).toBe(0o700);
  });

  test("is left out where others could write into it, for what lies in it is run", async () => {
    await using directory = await temporaryDirectory();
    const shared = join(directory.path, "shared");
    await mkdir(join(shared, "pgark"), { recursive: true });
    await chmod(join(shared, "pgark"), 0o777);
    expect(cacheDirectory({ XDG_CACHE_HOME: shared })).toBeUndefined();
    await chmod(join(shared, "pgark"), 0o700);
    await chmod(shared, 0o1777);
    expect(cacheDirectory({ XDG_CACHE_HOME: shared })).toBeUndefined();
  });

  test("never makes a run fail", () => {
    expect(() => enableCompileCache({ XDG_CACHE_HOME: "/nowhere/at/all" })).not.toThrow();
  });
});
