import { readFile, writeFile } from "node:fs/promises";
import { walKey } from "../../../src/repository/layout.ts";
import type { Repository } from "../../../src/repository/repository.ts";

/** The key of a WAL file in a repository that knows one life of its cluster. */
export async function walKeyOf(repository: Repository, name: string): Promise<string> {
  const [identity] = await repository.identities();
  if (identity === undefined) throw new Error("the repository knows no life of the cluster");
  return walKey(repository.cluster, identity, name, repository.encrypted);
}

/** Does `change` to a file's bytes, lets `look` at what follows, and puts the file back as it was. */
export async function whileDamaged(
  file: string,
  change: (bytes: Buffer) => Uint8Array,
  look: () => Promise<void>,
): Promise<void> {
  const good = await readFile(file);
  await writeFile(file, change(Buffer.from(good)));
  try {
    await look();
  } finally {
    await writeFile(file, good);
  }
}

export function flipBit(position: number, bit: number): (bytes: Buffer) => Buffer {
  return (bytes) => {
    bytes.writeUInt8(bytes.readUInt8(position) ^ (1 << bit), position);
    return bytes;
  };
}
