import { rename, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { ioError } from "../errors.ts";

/**
 * Writes a file that others read meanwhile: they see the old text or the new one. The name of the unfinished one has no ending
 * that anybody collects. Not durable: after a crash the next run writes it again.
 */
export async function replaceFile(path: string, text: string): Promise<void> {
  const unfinished = join(dirname(path), `.${basename(path)}.${process.pid}`);
  try {
    await writeFile(unfinished, text, { mode: 0o644 });
    await rename(unfinished, path);
  } catch (error) {
    await rm(unfinished, { force: true }).catch(() => undefined);
    throw ioError("write file", path, error);
  }
}
