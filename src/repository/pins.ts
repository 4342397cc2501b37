import { mapConcurrently } from "../concurrency.ts";
import { isPgarkError } from "../errors.ts";
import type { ClusterIdentity } from "../postgres/cluster-identity.ts";
import type { SignalOption } from "../storage/object-store.ts";
import { pinsFolder } from "./layout.ts";
import { decodeRecord, encodeRecord } from "./records.ts";
import type { Repository } from "./repository.ts";

/** Requests under way at once. */
const concurrency = 16;

/** One `pgark keep` of a backup. A backup may have several; what any of them keeps is kept. */
export interface PinRecord {
  readonly label: string;
  /** it holds before this moment; undefined is for ever */
  readonly until: Date | undefined;
  /** why, in the words of whoever set it; empty without any */
  readonly reason: string;
  readonly pinned: Date;
  readonly host: string;
}

/** The pins of all of `labels`, in their order, and of each the oldest first. */
export async function loadPins(
  repository: Repository,
  identity: ClusterIdentity,
  labels: readonly string[],
  options: SignalOption,
): Promise<readonly PinRecord[]> {
  const found = await mapConcurrently(labels, concurrency, (label) => loadPinsOf(repository, identity, label, options));
  return found.flat();
}

/** The pins of one backup, the oldest first. A record that cannot be read is an error: it may be the one that counts. */
export async function loadPinsOf(
  repository: Repository,
  identity: ClusterIdentity,
  label: string,
  options: SignalOption,
): Promise<readonly PinRecord[]> {
  const pins: PinRecord[] = [];
  for await (const { key } of repository.store.list(pinsFolder(repository.cluster, identity, label), options)) {
    try {
      pins.push(decodePin(key, await repository.store.get(key, options)));
    } catch (error) {
      if (!isPgarkError(error, "not-found")) throw error; // taken away meanwhile
    }
  }
  return pins;
}

/** Adds a pin, beside those that are there. */
export async function addPin(
  repository: Repository,
  identity: ClusterIdentity,
  pin: PinRecord,
  options: SignalOption,
): Promise<void> {
  const folder = pinsFolder(repository.cluster, identity, pin.label);
  for (let number = (await lastNumber(repository, folder, options)) + 1; ; number++) {
    const key = `${folder}${String(number).padStart(6, "0")}.json`;
    try {
      await repository.store.put(key, encodePin(pin), { ifAbsent: true, ...options });
      return;
    } catch (error) {
      if (!isPgarkError(error, "exists")) throw error; // somebody else pins it, too
    }
  }
}

/** Takes all pins of a backup away; resolves with how many there were. */
export async function removePins(
  repository: Repository,
  identity: ClusterIdentity,
  label: string,
  options: SignalOption,
): Promise<number> {
  const keys: string[] = [];
  for await (const { key } of repository.store.list(pinsFolder(repository.cluster, identity, label), options)) {
    keys.push(key);
  }
  await repository.store.delete(keys, options);
  return keys.length;
}

async function lastNumber(repository: Repository, folder: string, options: SignalOption): Promise<number> {
  let last = 0;
  for await (const { key } of repository.store.list(folder, options)) {
    const number = Number(/^(\d+)\.json$/.exec(key.slice(folder.length))?.[1] ?? 0);
    if (number > last) last = number;
  }
  return last;
}

function encodePin({ label, until, reason, pinned, host }: PinRecord): Uint8Array {
  return encodeRecord({
    kind: "pgark pin",
    label,
    until: until?.toISOString() ?? null,
    reason,
    pinned: pinned.toISOString(),
    host,
  });
}

function decodePin(key: string, bytes: Uint8Array): PinRecord {
  const fields = decodeRecord(key, bytes);
  return {
    label: fields.string("label"),
    until: fields.has("until") ? fields.date("until") : undefined,
    reason: fields.string("reason"),
    pinned: fields.date("pinned"),
    host: fields.string("host"),
  };
}
