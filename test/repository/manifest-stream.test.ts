import { createHash } from "node:crypto";
import { beforeAll, describe, expect, test } from "vitest";
import { isPgarkError } from "../../src/errors.ts";
import type { BackupRecord } from "../../src/repository/backup-record.ts";
import { generateKeyPair } from "../../src/repository/keys.ts";
import { manifestKey } from "../../src/repository/layout.ts";
import type { ManifestLine } from "../../src/repository/manifest.ts";
import { readManifest } from "../../src/repository/manifest-reader.ts";
import { ManifestWriter } from "../../src/repository/manifest-writer.ts";
import type { Repository } from "../../src/repository/repository.ts";
import { identity, type Keys, newRepository, recordOf, reopen } from "./backup-fixture.ts";

const label = "20261120T100000Z";
let keys: Keys;
beforeAll(async () => {
  keys = { owner: await generateKeyPair(), host: await generateKeyPair() };
});

function fileLine(number: number): ManifestLine {
  const path = `base/${number % 7}/${16_384 + number}`;
  const extents = [{ pack: 0, offset: number * 9216, length: 8192 }];
  const crc32c = number.toString(16).padStart(8, "0");
  return { type: "file", path, size: 8192, mode: "0600", modified: "2026-11-20T10:00:00.000Z", crc32c, extents };
}

async function write(repository: Repository, files: number, batch = 1000): Promise<BackupRecord> {
  const writer = await ManifestWriter.begin(repository, identity, label, { level: 1 });
  for (let first = 0; first < files; first += batch) {
    await writer.add(Array.from({ length: Math.min(batch, files - first) }, (_, index) => fileLine(first + index)));
  }
  return recordOf(repository, label, await writer.end());
}

async function read(repository: Repository, record: BackupRecord): Promise<readonly ManifestLine[]> {
  const lines: ManifestLine[] = [];
  for await (const batch of readManifest(repository, record, {})) lines.push(...batch);
  return lines;
}

async function outcome(repository: Repository, record: BackupRecord): Promise<string> {
  try {
    return `${(await read(repository, record)).length} lines`;
  } catch (error) {
    if (!isPgarkError(error)) throw error;
    if (error.code === "corrupt" && error.object?.includes("manifest.jsonl") !== true) return "corrupt, but what?";
    return error.code;
  }
}

/** Replaces the stored manifest by what `change` makes of it; `known` has backup.json tell of the change. */
async function tamper(
  repository: Repository,
  record: BackupRecord,
  change: (stored: Buffer) => Uint8Array,
  known = false,
): Promise<BackupRecord> {
  const key = manifestKey(repository.cluster, identity, record.label, repository.encrypted);
  const changed = change(Buffer.from(await repository.store.get(key)));
  await repository.store.put(key, changed, { ifAbsent: false });
  if (!known) return record;
  const sha256 = createHash("sha256").update(changed).digest("hex");
  return { ...record, manifest: { sha256, size: changed.length } };
}

describe.each([true, false])("a manifest, encrypted: %s", (encrypted) => {
  const create = (): Promise<Repository> => newRepository(encrypted ? keys : undefined);

  test.each([0, 1, 5000])("of %i files comes back line by line, between its header and its end", async (files) => {
    const repository = await create();
    const lines = await read(repository, await write(repository, files, 300));
    expect(lines[0]).toEqual({ type: "manifest", format: 1, label, identity: "17-7400000000000000001" });
    expect(lines.at(-1)).toEqual({ type: "end", files, bytes: files * 8192, packs: 0 });
    expect(lines.slice(1, -1)).toEqual(Array.from({ length: files }, (_, index) => fileLine(index)));
  });

  test("appears only when it is ended, and not at all when it is aborted", async () => {
    const repository = await create();
    const key = manifestKey(repository.cluster, identity, label, encrypted);
    const writer = await ManifestWriter.begin(repository, identity, label, { level: 1 });
    await writer.add([fileLine(1)]);
    await expect(repository.store.head(key)).rejects.toMatchObject({ code: "not-found" });
    await writer.abort();
    await expect(repository.store.head(key)).rejects.toMatchObject({ code: "not-found" });
  });

  test("keeps lines together that were added together, from however many packs at once", async () => {
    const repository = await create();
    const writer = await ManifestWriter.begin(repository, identity, label, { level: 1 });
    await Promise.all(
      Array.from({ length: 20 }, (_, pack) => writer.add([0, 1, 2].map((n) => fileLine(pack * 10 + n)))),
    );
    const lines = await read(repository, recordOf(repository, label, await writer.end()));
    expect(lines.slice(1, -1)).toEqual(
      Array.from({ length: 60 }, (_, index) => fileLine(Math.floor(index / 3) * 10 + (index % 3))),
    );
  });

  test("cut short is corrupt, even where a frame ends and backup.json agrees", async () => {
    const repository = await create();
    const record = await write(repository, 20_000);
    const half = (stored: Buffer): Buffer => stored.subarray(0, stored.length >> 1);
    expect(await outcome(repository, await tamper(repository, record, half))).toBe("corrupt");
    expect(await outcome(repository, await tamper(repository, record, half, true))).toBe("corrupt");
    expect(await outcome(repository, await tamper(repository, record, () => Buffer.alloc(0)))).toBe("corrupt");
  });

  test("with a byte changed anywhere is corrupt", async () => {
    const repository = await create();
    const record = await write(repository, 10);
    for (let turn = 0; turn < 40; turn++) {
      const flip = (stored: Buffer): Buffer => {
        const copy = Buffer.from(stored);
        const at = Math.floor((turn / 40) * copy.length);
        copy.writeUInt8(copy.readUInt8(at) ^ 0x10, at);
        return copy;
      };
      let original: Uint8Array = new Uint8Array();
      await tamper(repository, record, (stored) => {
        original = stored;
        return flip(stored);
      });
      expect(await outcome(repository, record), `turn ${turn}`).toMatch(/^corrupt|no-identity$/);
      await tamper(repository, record, () => original);
    }
    expect(await outcome(repository, record)).toBe("12 lines");
  });

  test("of another backup in its place is corrupt", async () => {
    const repository = await create();
    const record = await write(repository, 10);
    const other = { ...record, label: "20261121T100000Z" };
    const stored = await repository.store.get(manifestKey("main", identity, label, encrypted));
    await repository.store.put(manifestKey("main", identity, other.label, encrypted), stored, { ifAbsent: true });
    expect(await outcome(repository, record)).toBe("12 lines");
    expect(await outcome(repository, other)).toBe("corrupt");
  });
});

test("a manifest is read with the owner's key or the host's, and with no other", async () => {
  const repository = await newRepository(keys);
  const record = await write(repository, 3);
  const stranger = await generateKeyPair();
  const openedWith = async (...secrets: readonly string[]): Promise<string> =>
    outcome(await reopen(repository.store, secrets), record);
  expect(await openedWith(keys.owner.identity)).toBe("5 lines");
  expect(await openedWith(keys.host.identity)).toBe("5 lines");
  expect(await openedWith(stranger.identity)).toBe("no-identity");
  expect(await openedWith()).toBe("no-identity");
});

test("a manifest of 100,000 files is neither written nor read as a whole: parts leave as they fill, lines come in batches", async () => {
  const repository = await newRepository(keys);
  const files = 100_000;
  let sent = 0;
  const store: Repository["store"] = Object.assign(Object.create(repository.store) as Repository["store"], {
    beginUpload: async (...args: Parameters<Repository["store"]["beginUpload"]>) => {
      const upload = await repository.store.beginUpload(...args);
      return { ...upload, part: (index: number, body: Uint8Array) => upload.part(index, body).then(() => void sent++) };
    },
  });
  const writer = await ManifestWriter.begin({ ...repository, store }, identity, label, { level: 1 });
  for (let first = 0; first < files; first += 1000) {
    await writer.add(Array.from({ length: 1000 }, (_, index) => fileLine(first + index)));
  }
  const sentBeforeEnd = sent;
  const record = recordOf(repository, label, await writer.end());
  expect(sentBeforeEnd).toBeGreaterThan(5);
  expect(sent - sentBeforeEnd).toBeLessThanOrEqual(4);
  let largest = 0;
  let seen = 0;
  for await (const batch of readManifest(repository, record, {})) {
    seen += batch.length;
    largest = Math.max(largest, batch.length);
  }
  expect(seen).toBe(files + 2);
  expect(largest).toBeLessThan(20_000);
}, 60_000);
