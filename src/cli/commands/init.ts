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
import { repositoriesOf, required } from "../settings.ts";
import { archiveCommand } from "../wal-commands.ts";

/** `pgark init`: creates the cluster in the repository, or in all of several, and its keys. */
export async function main(run: CommandRun): Promise<number> {
  const { settings, io } = run;
  const cluster = required(settings, "cluster");
  checkKeyOptions(run);
  const stores: ObjectStore[] = [];
  try {
    for (const url of repositoriesOf(settings))
      stores.push(await openStore(url, { environment: io.env, create: true }));
    const facts = await readServerFacts(run);
    const existing: (Repository | undefined)[] = [];
    for (const store of stores) existing.push(await openExisting(run, store, cluster));
    const keys = await keysFor(run, cluster, existing);
    // Shown before anything is encrypted to it: a repository with a key that nobody has seen must not exist.
    if (keys.unkept !== undefined) await io.stdout.deliver(newKeyText(keys.unkept, cluster, run.paint));
    const results: InitResult[] = [];
    for (const [index, store] of stores.entries()) {
      results.push(await initOne(run, store, facts, existing[index] === undefined ? keys : NO_KEYS));
    }
    if (keys.hostKeyFile !== undefined && io.userId === 0) {
      run.log.warn("the host key belongs to root; give it to the user that takes backups (chown)", {
        file: keys.hostKeyFile,
      });
    }
    await printResult(run, facts, keys, combined(results));
    return EXIT.ok;
  } finally {
    for (const store of stores) await store.close();
  }
}

/** The keys of the repositories that are new: those of one that is there already, else new ones. */
async function keysFor(
  run: CommandRun,
  cluster: string,
  existing: readonly (Repository | undefined)[],
): Promise<InitKeys> {
  const [known, ...others] = existing.filter((repository) => repository !== undefined);
  if (known === undefined) return makeKeys(run, cluster);
  refuseOtherKeys(run, known);
  const keysOf = ({ recipients }: Repository): string => [...recipients].sort().join();
  const other = others.find((repository) => keysOf(repository) !== keysOf(known));
  if (other !== undefined) {
    throw new PgarkError("refused", `${known.store.url} and ${other.store.url} have different keys`, {
      operation: "init",
      object: cluster,
      hint: "repositories of one cluster have the same keys: begin the second one anew, in another place",
    });
  }
  return {
    ...NO_KEYS,
    recipients: known.recipients,
    hostRecipients: known.metadataRecipients.filter((recipient) => !known.recipients.includes(recipient)),
  };
}

function initOne(run: CommandRun, store: ObjectStore, facts: ServerFacts, keys: InitKeys): Promise<InitResult> {
  return initRepository({
    store,
    cluster: required(run.settings, "cluster"),
    identity: facts.identity,
    walSegmentSize: facts.walSegmentSize,
    recipients: keys.recipients,
    hostRecipients: keys.hostRecipients,
    now: run.io.now(),
    signal: run.io.signal,
  });
}

/** What was done in any of the repositories. */
function combined(results: readonly InitResult[]): InitResult {
  return {
    created: results.some((result) => result.created),
    identityCreated: results.some((result) => result.identityCreated),
    recipients: results[0]?.recipients ?? [],
  };
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
