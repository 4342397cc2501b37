import { execFile } from "node:child_process";
import { chmod, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { runCli } from "../../../src/cli/run.ts";
import { decodeBackupRecord, encodeBackupRecord } from "../../../src/repository/backup-record-json.ts";
import type { BackupRecord } from "../../../src/repository/backup-record.ts";
import { makeHeader, openHeader } from "../../../src/repository/envelope/age-header.ts";
import { PayloadReader } from "../../../src/repository/envelope/payload-reader.ts";
import { PayloadWriter } from "../../../src/repository/envelope/payload-writer.ts";
import { openObject, sealObject } from "../../../src/repository/envelope/whole-object.ts";
import { openZstd } from "../../../src/repository/envelope/zstd.ts";
import { parseIdentityFile, recipientOf } from "../../../src/repository/keys.ts";
import type { ManifestLine } from "../../../src/repository/manifest.ts";
import { formatManifestLine } from "../../../src/repository/manifest.ts";
import { openRepository } from "../../../src/repository/repository.ts";
import type { Repository } from "../../../src/repository/repository.ts";
import { FileStore } from "../../../src/storage/drivers/file/file-store.ts";
import type { GetOptions } from "../../../src/storage/object-store.ts";
import { testIo } from "../../cli/test-io.ts";
import { sha256Of } from "./archiving-cluster.ts";
import type { CommandAnswer, LifeAnswer, VerifyAnswer } from "./verify-answer.ts";
import type { VerifyArchive } from "./verify-archive.ts";

const run = promisify(execFile);

/** The archive once more, to be spoiled: its files are links to the same bytes until they are replaced. */
export class SpoiledArchive {
  readonly archive: VerifyArchive;
  readonly root: string;

  private constructor(archive: VerifyArchive, root: string) {
    this.archive = archive;
    this.root = root;
  }

  static async copy(archive: VerifyArchive, root: string): Promise<SpoiledArchive> {
    await run("cp", ["-al", archive.root, root]);
    return new SpoiledArchive(archive, root);
  }

  /** The archive itself, to look at. */
  static whole(archive: VerifyArchive): SpoiledArchive {
    return new SpoiledArchive(archive, archive.root);
  }

  /** A key below the folder of the life. */
  key(name: string): string {
    return `main/${this.archive.life}/${name}`;
  }

  /** The key of a WAL file. */
  wal(name: string): string {
    const log = /^[0-9A-F]{24}(\.partial)?$/.test(name) ? `${name.slice(8, 16)}/` : "";
    return this.key(`wal/${name.slice(0, 8)}/${log}${name}.zst.age`);
  }

  /** The key of something of a backup. */
  of({ label }: BackupRecord, name: string): string {
    return this.key(`backups/${label}/${name}`);
  }

  /** The names of a backup's packs, in order. */
  async packs(backup: BackupRecord): Promise<readonly string[]> {
    return (await readdir(join(this.root, this.of(backup, "data")))).toSorted().map((name) => `data/${name}`);
  }

  /** The name of the largest of them. */
  async pack(backup: BackupRecord): Promise<string> {
    const sizes = await Promise.all(
      (await this.packs(backup)).map(async (name) => ({ name, size: (await this.get(this.of(backup, name))).length })),
    );
    return sizes.toSorted((a, b) => b.size - a.size)[0]?.name ?? "";
  }

  async get(key: string): Promise<Buffer> {
    return readFile(join(this.root, key));
  }

  async remove(...keys: readonly string[]): Promise<void> {
    for (const key of keys) await rm(join(this.root, key));
  }

  /** Puts other bytes under a key, taken or not. */
  async put(key: string, bytes: Uint8Array | string): Promise<void> {
    await rm(join(this.root, key), { force: true });
    await mkdir(dirname(join(this.root, key)), { recursive: true });
    await writeFile(join(this.root, key), bytes);
  }

  async change(key: string, change: (bytes: Buffer) => Uint8Array): Promise<void> {
    await this.put(key, change(Buffer.from(await this.get(key))));
  }

  async swap(one: string, other: string): Promise<void> {
    const [a, b] = [await this.get(one), await this.get(other)];
    await this.put(one, b);
    await this.put(other, a);
  }

  async forbid(key: string): Promise<void> {
    await this.put(key, await this.get(key));
    await chmod(join(this.root, key), 0);
  }

  /** Changes what a WAL object holds, and seals it as if it had been archived so; to other keys when some are given. */
  async resealWal(name: string, change: (plain: Buffer) => Uint8Array, recipients?: readonly string[]): Promise<void> {
    const key = this.wal(name);
    const { plain } = await openObject(await this.get(key), { encrypted: true, identities: await this.#identities() });
    const sealed = await sealObject(change(Buffer.from(plain)), {
      recipients: recipients ?? (await this.#recipients()),
      level: 1,
      writer: "db1",
      now: new Date(),
    });
    await this.put(key, sealed);
  }

  /** Changes fields of `backup.json`, and gives it a digest that holds. */
  async rewriteRecord(backup: BackupRecord, changes: Partial<BackupRecord>): Promise<void> {
    const key = this.of(backup, "backup.json");
    const record = decodeBackupRecord(key, await this.get(key));
    await this.put(key, encodeBackupRecord({ ...record, ...changes }));
  }

  /**
   * Has `change` work on the plain tar of a pack, and on the lines of the manifest, and seals all so that every digest holds; to
   * other keys when some are given.
   */
  async repack(
    backup: BackupRecord,
    name: string,
    change: (tar: Buffer, lines: ManifestLine[]) => void,
    recipients?: readonly string[],
  ): Promise<void> {
    const pack = this.of(backup, name);
    const manifest = this.of(backup, "manifest.jsonl.zst.age");
    const tar = await this.#unseal(pack);
    const text = (await this.#unseal(manifest)).toString("utf8");
    const lines = text
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as ManifestLine);
    change(tar, lines);
    const sealed = await this.#seal(tar, recipients ?? (await this.#recipients()));
    await this.put(pack, sealed);
    const told = lines.map((line) =>
      line.type === "pack" && line.name === name ? { ...line, size: sealed.length, sha256: sha256Of(sealed) } : line,
    );
    const sealedManifest = await this.#seal(
      Buffer.from(told.map(formatManifestLine).join("")),
      await this.#recipients(),
    );
    await this.put(manifest, sealedManifest);
    const packs = told.reduce((sum, line) => sum + (line.type === "pack" ? line.size : 0), 0);
    await this.rewriteRecord(backup, {
      manifest: { size: sealedManifest.length, sha256: sha256Of(sealedManifest) },
      storedBytes: packs + sealedManifest.length,
    });
  }

  /** Runs a command in this process. */
  async run(argv: readonly string[], env: Readonly<Record<string, string | undefined>> = {}): Promise<CommandAnswer> {
    const io = testIo({
      argv: [...argv, "--json", "--log-format", "text"],
      env: {
        PGARK_REPOSITORY: `file://${this.root}`,
        PGARK_CLUSTER: "main",
        PGARK_IDENTITY_FILE: this.archive.identityFile,
        ...env,
      },
      processors: 2,
      now: () => new Date(),
    });
    const exitCode = await runCli(io, "0.1.0");
    return { exitCode, ...io.written };
  }

  /** Runs `pgark verify` in this process. */
  async verify(...args: readonly string[]): Promise<VerifyAnswer> {
    const { exitCode, stdout, stderr } = await this.run(["verify", "--no-progress", ...args]);
    if (stdout === "") throw new Error(`verify says nothing (${exitCode}): ${stderr}`);
    const answer = JSON.parse(stdout) as Pick<VerifyAnswer, "result" | "faults"> & {
      readonly lives: readonly LifeAnswer[];
    };
    const [life] = answer.lives;
    if (life === undefined) throw new Error("the cluster has no life");
    return {
      exitCode,
      stderr,
      result: answer.result,
      faults: [...answer.faults, ...life.faults],
      lost: life.lost,
      life,
    };
  }

  /** Opens the repository past the command line; `before` is done each time before an object is read from its beginning. */
  async open(before: (key: string) => Promise<void> = async () => undefined): Promise<Repository> {
    const identities = await this.#identities();
    return openRepository({ store: new WatchedStore(this.root, before), cluster: "main", identities, recipients: [] });
  }

  async #identities(): Promise<readonly string[]> {
    return parseIdentityFile(await readFile(this.archive.identityFile, "utf8"));
  }

  async #recipients(): Promise<readonly string[]> {
    return Promise.all((await this.#identities()).map(recipientOf));
  }

  async #unseal(key: string): Promise<Buffer> {
    const stored = await this.get(key);
    const header = await openHeader(stored, await this.#identities());
    const pieces: Uint8Array[] = [];
    const plain = (bytes: Uint8Array): void => void pieces.push(Uint8Array.from(bytes));
    const reader = new PayloadReader({ zstd: openZstd(1), key: header.key, plain });
    reader.write(stored.subarray(header.size));
    reader.end();
    return Buffer.concat(pieces);
  }

  async #seal(plain: Buffer, recipients: readonly string[]): Promise<Buffer> {
    const pieces: Uint8Array[] = [];
    const header = await makeHeader(recipients, undefined);
    const write = (bytes: Uint8Array): void => void pieces.push(Uint8Array.from(bytes));
    const writer = new PayloadWriter({ zstd: openZstd(1), header, write });
    writer.write(plain);
    writer.end(true);
    return Buffer.concat(pieces);
  }
}

class WatchedStore extends FileStore {
  readonly #before: (key: string) => Promise<void>;

  constructor(root: string, before: (key: string) => Promise<void>) {
    super(root, { create: false });
    this.#before = before;
  }

  override async get(key: string, options?: GetOptions): Promise<Uint8Array> {
    if ((options?.range?.offset ?? 0) === 0) await this.#before(key);
    return super.get(key, options);
  }
}
