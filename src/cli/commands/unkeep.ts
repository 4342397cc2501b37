import { plural } from "../../format.ts";
import { formatIdentity } from "../../postgres/cluster-identity.ts";
import { removePins } from "../../repository/pins.ts";
import type { CommandRun } from "../command.ts";
import { EXIT } from "../exit-codes.ts";
import { findBackup } from "../find-backup.ts";
import { withRepository } from "../with-repository.ts";

/** `pgark unkeep <label>`: takes the pins of a backup away. */
export async function main(run: CommandRun): Promise<number> {
  const [label = ""] = run.args;
  const { identity, removed } = await withRepository(run, { keys: "none" }, async (repository) => {
    const found = await findBackup(run, repository, label, "unkeep");
    return { identity: found, removed: await removePins(repository, found, label, { signal: run.io.signal }) };
  });
  await run.print({
    json: () => ({ label, identity: formatIdentity(identity), removed }),
    text: () =>
      removed === 0
        ? `${label} was not pinned\n`
        : `${plural(removed, "pin")} of ${label} removed: the retention policy decides about it again\n`,
  });
  return EXIT.ok;
}
