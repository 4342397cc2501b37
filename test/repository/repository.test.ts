import { beforeAll, expect, test } from "vitest";
import { initRepository } from "../../src/repository/init-repository.ts";
import { generateKeyPair } from "../../src/repository/keys.ts";
import { openRepository } from "../../src/repository/repository.ts";
import { loadWal, storeWal } from "../../src/repository/wal-object.ts";
import { MemoryStore } from "../../src/storage/drivers/memory/memory-store.ts";
import { identity, type Keys, moment, newRepository, reopen, walSegmentSize } from "./backup-fixture.ts";

let keys: Keys;
beforeAll(async () => {
  keys = { owner: await generateKeyPair(), host: await generateKeyPair() };
});

const push = { identity, name: "000000010000000000000001", level: 1, host: "db1", now: moment };

test("a repository that is not there is no-cluster, never not-found", async () => {
  const store = new MemoryStore(() => moment);
  const opening = openRepository({ store, cluster: "main", identities: [], recipients: [] });
  await expect(opening).rejects.toMatchObject({ code: "no-cluster", hint: expect.stringContaining("mounted") });
});

test("a damaged cluster.json is corrupt and one of a newer format is refused by name", async () => {
  const { store } = await newRepository();
  for (const [text, code] of [
    ["{}", "corrupt"],
    ["", "corrupt"],
    ['{"format":1,"created":"2026-11-20T10:00:00Z","recipients":"age1","hostRecipients":[]}', "corrupt"],
    ['{"format":7}', "newer-format"],
  ] as const) {
    await store.put("main/cluster.json", Buffer.from(text), { ifAbsent: false });
    await expect(reopen(store, [])).rejects.toMatchObject({ code, object: "main/cluster.json" });
  }
});

test("pinned recipients must be exactly those of the repository, in any order", async () => {
  const { store } = await newRepository(keys);
  const open = (...recipients: readonly string[]) =>
    openRepository({ store, cluster: "main", identities: [], recipients });
  expect((await open(keys.owner.recipient)).encrypted).toBe(true);
  expect((await open()).encrypted).toBe(true);
  await expect(open(keys.host.recipient)).rejects.toMatchObject({ code: "refused" });
  await expect(open(keys.owner.recipient, keys.host.recipient)).rejects.toMatchObject({ code: "refused" });
  await expect(open("age1nonsense")).rejects.toMatchObject({ code: "usage" });
});

test("a repository that stopped to encrypt is refused when recipients are pinned", async () => {
  const { store } = await newRepository();
  const opening = openRepository({ store, cluster: "main", identities: [], recipients: [keys.owner.recipient] });
  await expect(opening).rejects.toMatchObject({ code: "refused", hint: expect.stringContaining("tampered") });
});

test("another cluster's identity is a mismatch that names the lives there are", async () => {
  const repository = await newRepository();
  const other = { majorVersion: 18, systemIdentifier: 5n };
  await expect(repository.identityRecord(other)).rejects.toMatchObject({
    code: "identity-mismatch",
    message: expect.stringContaining("17-7400000000000000001"),
  });
  expect(await repository.identityRecord(identity)).toEqual({ created: moment, identity, walSegmentSize });
});

test("init again is harmless, begins the next life, and never changes keys", async () => {
  const { store } = await newRepository(keys);
  const init = { store, cluster: "main", identity, walSegmentSize, hostRecipients: [], now: new Date(0) };
  const before = await store.get("main/cluster.json");
  expect(await initRepository({ ...init, recipients: [] })).toMatchObject({ created: false, identityCreated: false });
  const next = { majorVersion: 18, systemIdentifier: 9n };
  expect(await initRepository({ ...init, identity: next, recipients: [] })).toMatchObject({ identityCreated: true });
  await expect(initRepository({ ...init, recipients: [keys.host.recipient] })).rejects.toMatchObject({
    code: "refused",
  });
  expect(await store.get("main/cluster.json")).toEqual(before);
  expect(await (await reopen(store, [])).identities()).toEqual([identity, next]);
});

test("init with a mistyped key writes nothing", async () => {
  const store = new MemoryStore(() => moment);
  const recipients = [`${keys.owner.recipient.slice(0, -1)}${keys.owner.recipient.endsWith("q") ? "p" : "q"}`];
  const init = { store, cluster: "main", identity, walSegmentSize, recipients, hostRecipients: [], now: moment };
  await expect(initRepository(init)).rejects.toMatchObject({ code: "usage" });
  await expect(store.head("main/cluster.json")).rejects.toMatchObject({ code: "not-found" });
});

test("the same WAL again is already there, for a host without keys too; other content is a conflict that names both", async () => {
  const writer = await reopen((await newRepository(keys)).store, []);
  const plain = Buffer.from("content");
  expect(await storeWal(writer, { ...push, plain })).toMatchObject({ outcome: "pushed" });
  expect(await storeWal(writer, { ...push, plain, host: "db2" })).toMatchObject({ outcome: "already-there" });
  await expect(storeWal(writer, { ...push, plain: Buffer.from("other"), host: "db2" })).rejects.toMatchObject({
    code: "conflict",
    message: expect.stringMatching(/db1.*db2/s),
  });
  const reader = await reopen(writer.store, [keys.owner.identity]);
  expect(Buffer.from(await loadWal(reader, identity, push.name, {})).toString()).toBe("content");
});

test("an object whose head cannot be read is a conflict, not taken for the same, and not replaced", async () => {
  const repository = await newRepository();
  const { key } = await storeWal(repository, { ...push, plain: Buffer.from("content") });
  for (const damaged of [Buffer.alloc(0), Buffer.from("rubbish"), Buffer.alloc(5000)]) {
    await repository.store.put(key, damaged, { ifAbsent: false });
    await expect(storeWal(repository, { ...push, plain: Buffer.from("content") })).rejects.toMatchObject({
      code: "conflict",
    });
    expect(await repository.store.get(key)).toHaveLength(damaged.length);
  }
});

test("segments are for the owner alone; histories also for the host's key", async () => {
  const { store } = await newRepository(keys);
  const host = await reopen(store, [keys.host.identity]);
  await storeWal(host, { ...push, plain: Buffer.from("segment") });
  await storeWal(host, { ...push, name: "00000002.history", plain: Buffer.from("history") });
  await expect(loadWal(host, identity, push.name, {})).rejects.toMatchObject({
    code: "no-identity",
    object: expect.stringContaining(push.name),
  });
  expect(Buffer.from(await loadWal(host, identity, "00000002.history", {})).toString()).toBe("history");
});

test("a WAL file above 32 MiB goes up in parts and comes back whole", async () => {
  const repository = await newRepository();
  const plain = Buffer.alloc(40 * 1024 * 1024);
  for (let at = 0; at < plain.length; at += 4) plain.writeInt32LE(Math.imul(at, 2654435761 | 0) ^ (at >> 3), at);
  const stored = await storeWal(repository, { ...push, plain });
  expect(stored.storedBytes).toBeGreaterThan(32 * 1024 * 1024);
  expect(plain.equals(await loadWal(repository, identity, push.name, {}))).toBe(true);
});
