import { rmSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { registerCleanup } from "./cleanup.ts";

export interface TemporaryDirectory extends AsyncDisposable {
  readonly path: string;
}

/** A new empty directory; it goes with `await using`, or after the test file's last test. */
export async function temporaryDirectory(name = "pgark"): Promise<TemporaryDirectory> {
  const path = await mkdtemp(join(tmpdir(), `${name}-`));
  const dispose = registerCleanup({
    dispose: () => rm(path, { recursive: true, force: true, maxRetries: 3 }),
    disposeNow: () => rmSync(path, { recursive: true, force: true }),
  });
  return { path, [Symbol.asyncDispose]: dispose };
}
