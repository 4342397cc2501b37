import { PgarkError } from "../../errors.ts";
import { formatIdentity } from "../../postgres/cluster-identity.ts";
import { leaseHolder } from "../../repository/lease.ts";
import { addPin, loadPinsOf } from "../../repository/pins.ts";
import type { PinRecord } from "../../repository/pins.ts";
import type { CommandRun } from "../command.ts";
import { EXIT } from "../exit-codes.ts";
import { findBackup } from "../find-backup.ts";
import { formatMoment } from "../format.ts";
import { parseUntil } from "../parse-until.ts";
import { pinJson } from "../prune-json.ts";
import { withRepository } from "../with-repository.ts";

/** `pgark keep <label>`: pins a backup. */
export async function main(run: CommandRun): Promise<number> {
  const { settings, io } = run;
  const [label = ""] = run.args;
  const until = settings.values.until === undefined ? undefined : parseUntil(settings.values.until, io.now());
  const { identity, pins } = await withRepository(run, { keys: "none" }, async (repository) => {
    const { signal } = io;
    const found = await findBackup(run, repository, label, "keep");
    const reason = settings.values.reason ?? "";
    await addPin(repository, found, { label, until, reason, pinned: io.now(), host: io.hostName }, { signal });
    // A prune that looked before the pin was there may be at it.
    const holder = await leaseHolder(repository.store, repository.cluster, { signal });
    if (holder !== undefined) {
      run.log.warn(
        `${holder} may have decided about the backup already: look with pgark show ${label} when it has ended`,
      );
    }
    await findBackup(run, repository, label, "keep");
    return { identity: found, pins: await loadPinsOf(repository, found, label, { signal }) };
  });
  if (pins.length === 0) throw vanished(label);
  await run.print({
    json: () => ({ label, identity: formatIdentity(identity), pins: pins.map(pinJson) }),
    text: () => `${label} is kept ${howLong(pins)}, and so is the WAL that it needs to be restored\n`,
  });
  return EXIT.ok;
}

/** What counts is the pin that holds longest. */
function howLong(pins: readonly PinRecord[]): string {
  const ends = pins.map(({ until }) => until?.getTime() ?? Infinity);
  const last = Math.max(...ends);
  const earlier = pins.length > 1 ? ` (${pins.length} pins; the longest counts)` : "";
  return `${last === Infinity ? "for ever" : `until ${formatMoment(new Date(last))}`}${earlier}`;
}

function vanished(label: string): PgarkError {
  return new PgarkError("refused", "the pin is gone already: somebody took it away, or deletes the backup", {
    operation: "keep",
    object: label,
    hint: `look with pgark show ${label}`,
  });
}
