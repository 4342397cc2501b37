import { isPgarkError, PgarkError } from "../../errors.ts";
import { formatIdentity } from "../../postgres/cluster-identity.ts";
import { initRepository } from "../../repository/init-repository.ts";
import type { InitResult } from "../../repository/init-repository.ts";
import { openRepository } from "../../repository/repository.ts";
import type { Repository } from "../../repository/repository.ts";
import type { ObjectStore } from "../../storage/object-store.ts";
import { openStore } from "../../storage/open-store.ts";
import type { CommandRun } from "../command.ts";
import { EXIT } from "../exit-codes.ts";
import { checkKeyOptions, makeKeys, NO_KEYS } from "../init-keys.ts";
import type { InitKeys } from "../init-keys.ts";
import { initText, newKeyText } from "../init-text.ts";
import { readServerFacts } from "../server-facts.ts";
import type { ServerFacts } from "../server-facts.ts";
import { required } from "../settings.ts";
import { archiveCommand } from "../wal-commands.ts";

/** `pgark init`: creates the cluster in the repository, and its keys. */
export async function main(run: CommandRun): Promise<number> {
  const { settings, io } = run;
  const cluster = required(settings, "cluster");
  checkKeyOptions(run);
  const store = await openStore(required(settings, "repository"), { environment: io.env });
  try {
    const facts = await readServerFacts(run);
    const existing = await openExisting(run, store, cluster);
    if (existing !== undefined) refuseOtherKeys(run, existing);
    const keys = existing === undefined ? await makeKeys(run, cluster) : NO_KEYS;
    // Shown before anything is encrypted to it: a repository with a key that nobody has seen must not exist.
    if (keys.unkept !== undefined) await io.stdout.deliver(newKeyText(keys.unkept, cluster, run.paint));
    const result = await initRepository({
      store,
      cluster,
      identity: facts.identity,
      walSegmentSize: facts.walSegmentSize,
      recipients: keys.recipients,
      hostRecipients: keys.hostRecipients,
      now: io.now(),
      signal: io.signal,
    });
    if (keys.hostKeyFile !== undefined && io.userId === 0) {
      run.log.warn("the host key belongs to root; give it to the user that takes backups (chown)", {
        file: keys.hostKeyFile,
      });
    }
    await printResult(run, facts, keys, result);
    return EXIT.ok;
  } finally {
    await store.close();
  }
}

/** The cluster as it is in the repository, or undefined when it is new. */
async function openExisting(run: CommandRun, store: ObjectStore, cluster: string): Promise<Repository | undefined> {
  const recipients = run.settings.values.recipients ?? [];
  try {
    return await openRepository({ store, cluster, identities: [], recipients, signal: run.io.signal });
  } catch (error) {
    if (isPgarkError(error, "no-cluster")) return undefined;
    throw error;
  }
}

/** The keys of a cluster never change: making new ones now would hand out a key that opens nothing. */
function refuseOtherKeys(run: CommandRun, existing: Repository): void {
  if (!run.settings.values.encrypt) return;
  if (existing.encrypted) {
    run.log.info("the cluster exists already and is encrypted to its own keys; no new key was made");
    return;
  }
  throw new PgarkError("refused", "the cluster exists already, and is not encrypted", {
    operation: "init",
    object: existing.cluster,
    hint: "encryption is chosen once: use another cluster name, and take a first backup there",
  });
}

async function printResult(run: CommandRun, facts: ServerFacts, keys: InitKeys, result: InitResult): Promise<void> {
  const { settings, io, paint } = run;
  const command = archiveCommand(settings, io);
  const cluster = required(settings, "cluster");
  await run.print({
    json: () => ({
      cluster,
      identity: formatIdentity(facts.identity),
      majorVersion: facts.identity.majorVersion,
      systemIdentifier: facts.identity.systemIdentifier.toString(),
      walSegmentSize: facts.walSegmentSize,
      created: result.created,
      identityCreated: result.identityCreated,
      encrypted: result.recipients.length > 0,
      recipients: result.recipients,
      identityFile: keys.identityFile ?? null,
      hostKeyFile: keys.hostKeyFile ?? null,
      archiveCommand: command,
    }),
    text: () => initText({ cluster, facts, keys, result, archiveCommand: command }, paint),
  });
}
