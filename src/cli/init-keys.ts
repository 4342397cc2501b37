import { PgarkError } from "../errors.ts";
import { generateKeyPair, recipientOf } from "../repository/keys.ts";
import type { CommandRun } from "./command.ts";
import { readKeyFile, writeKeyFile } from "./key-files.ts";
import { Secret } from "./secret.ts";
import { hostKeyPath } from "./settings.ts";

/** The keys of a cluster that is about to be made. */
export interface InitKeys {
  /** none: not encrypted */
  readonly recipients: readonly string[];
  readonly hostRecipients: readonly string[];
  /** a new secret key that is kept nowhere: it must be shown now */
  readonly unkept: Secret | undefined;
  readonly identityFile: string | undefined;
  readonly hostKeyFile: string | undefined;
}

export const NO_KEYS: InitKeys = {
  recipients: [],
  hostRecipients: [],
  unkept: undefined,
  identityFile: undefined,
  hostKeyFile: undefined,
};

/** Refuses combinations of flags that would leave a doubt about which key is meant. */
export function checkKeyOptions(run: CommandRun): void {
  const { values, origins } = run.settings;
  if (values.encrypt && origins.has("recipients")) {
    throw usage("--encrypt makes a new key, recipients names your own: give one of them");
  }
  if (values.encrypt && values.json && values["identity-file"] === undefined) {
    throw usage("a new secret key does not belong into JSON: give --identity-file as well");
  }
}

/**
 * Makes, or finds again, the keys of a new cluster. Every key is durable in its file before the repository knows it, and a
 * file that holds one already is used, not replaced: an init that was interrupted can simply be run again.
 */
export async function makeKeys(run: CommandRun, cluster: string): Promise<InitKeys> {
  const { values } = run.settings;
  const own = values.recipients ?? [];
  if (!values.encrypt && own.length === 0) return NO_KEYS;
  const hostKeyFile = hostKeyPath(run.settings, cluster);
  if (hostKeyFile === undefined) {
    throw usage("there is no place for the host's own key: give --host-key-file");
  }
  const identityFile = values.encrypt ? values["identity-file"] : undefined;
  let unkept: Secret | undefined;
  let recipients = own;
  if (identityFile !== undefined)
    recipients = await keyInFile(identityFile, `pgark: identity of cluster ${cluster}, keep it safe`);
  else if (values.encrypt) {
    const pair = await generateKeyPair();
    unkept = new Secret(pair.identity);
    recipients = [pair.recipient];
  }
  const hostRecipients = await keyInFile(
    hostKeyFile,
    `pgark: key of this host for cluster ${cluster}; opens manifests, no data`,
  );
  return { recipients, hostRecipients, unkept, identityFile, hostKeyFile };
}

/** The recipients of the identities in a file, which is made with a new one when it does not exist. */
async function keyInFile(path: string, comment: string): Promise<readonly string[]> {
  const present = await readKeyFile(path);
  if (present !== undefined) return Promise.all(present.map((identity) => recipientOf(identity.reveal())));
  const pair = await generateKeyPair();
  await writeKeyFile(path, new Secret(pair.identity), pair.recipient, comment);
  return [pair.recipient];
}

function usage(problem: string): PgarkError {
  return new PgarkError("usage", problem, { operation: "init" });
}
