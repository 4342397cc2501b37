import { link, mkdir, open, readFile, unlink } from "node:fs/promises";
import { dirname } from "node:path";
import { errnoOf, ioError, isPgarkError, PgarkError } from "../errors.ts";
import { parseIdentityFile } from "../repository/keys.ts";
import { Secret } from "./secret.ts";

/** The age identities in a file, or undefined when there is no such file. */
export async function readKeyFile(path: string): Promise<readonly Secret[] | undefined> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    if (errnoOf(error) === "ENOENT" || errnoOf(error) === "ENOTDIR") return undefined;
    throw ioError("read key file", path, error);
  }
  try {
    return parseIdentityFile(text).map((identity) => new Secret(identity));
  } catch (error) {
    if (!isPgarkError(error)) throw error;
    // Not passed on as a cause: what it holds is a secret, well formed or not.
    throw new PgarkError(error.code, error.message, { operation: "read key file", object: path, hint: error.hint });
  }
}

/** Writes a new key file that only its owner can read; throws `exists` when the path is taken, whatever is there. */
export async function writeKeyFile(path: string, identity: Secret, recipient: string, comment: string): Promise<void> {
  const text = `# ${comment}\n# public key: ${recipient}\n${identity.reveal()}\n`;
  try {
    await mkdir(dirname(path), { recursive: true });
    await writeWhole(path, text);
    await syncDirectory(dirname(path));
  } catch (error) {
    if (errnoOf(error) === "EEXIST") {
      throw new PgarkError("exists", "the file exists already", {
        operation: "write key file",
        object: path,
        cause: error,
        hint: "pgark never overwrites a key: name another file",
      });
    }
    throw ioError("write key file", path, error);
  }
}

/** The name appears with all of the content, or not at all: half a key would stand in the way of the next init. */
async function writeWhole(path: string, text: string): Promise<void> {
  const temporary = `${path}.${process.pid}.tmp`;
  const file = await open(temporary, "w", 0o600);
  try {
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await link(temporary, path);
  } finally {
    await unlink(temporary);
  }
}

/** A key that a crash forgets is a repository that nobody opens: the name must be durable too. */
async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
