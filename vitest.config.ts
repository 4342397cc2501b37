import { tmpdir } from "node:os";
import { join } from "node:path";
import { defineConfig } from "vitest/config";

export default defineConfig({
  // Nothing is ever written into node_modules: in a staged copy its files are shared with the original.
  cacheDir: join(tmpdir(), `pgark-vitest-${process.getuid?.()}`),
  test: {
    include: ["test/**/*.test.ts"],
    fsModuleCache: false,
    setupFiles: ["test/helpers/setup.ts"],
    pool: "forks",
    // Some tests run several PostgreSQL servers each; CI has two cores.
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 60_000,
    teardownTimeout: 30_000,
  },
});
