import { isPgarkError, PgarkError } from "../errors.ts";
import { openRepository } from "../repository/repository.ts";
import type { Repository } from "../repository/repository.ts";
import { openStore } from "../storage/open-store.ts";
import type { CommandRun } from "./command.ts";
import { readKeyFile } from "./key-files.ts";
import type { Secret } from "./secret.ts";
import { hostKeyPath, required } from "./settings.ts";

export interface WithRepositoryOptions {
  /** `none`: the command only writes, and must work on a host that has no secret key */
  readonly keys: "none" | "all";
}

/** Opens the repository that the settings name, works with it, and closes its store whatever happens. */
export async function withRepository<T>(
  run: CommandRun,
  options: WithRepositoryOptions,
  work: (repository: Repository) => Promise<T>,
): Promise<T> {
  const cluster = required(run.settings, "cluster");
  const identities = options.keys === "none" ? [] : await secretKeys(run, cluster);
  const store = await openStore(required(run.settings, "repository"), { environment: run.io.env });
  try {
    const recipients = run.settings.values.recipients ?? [];
    return await work(await openRepository({ store, cluster, identities, recipients, signal: run.io.signal }));
  } finally {
    await store.close();
  }
}

/** The keys at hand: the identity file, which must exist when it is named, and the host's own, which may be absent. */
async function secretKeys(run: CommandRun, cluster: string): Promise<readonly string[]> {
  const { settings } = run;
  const identityFile = settings.values["identity-file"];
  const identities = identityFile === undefined ? [] : await readKeyFile(identityFile);
  if (identities === undefined) throw missingKeyFile("identity-file", identityFile);
  const hostKey = hostKeyPath(settings, cluster);
  const named = settings.origins.has("host-key-file");
  const hostKeys = hostKey === undefined ? [] : await readHostKey(hostKey, named);
  if (hostKeys === undefined && named) throw missingKeyFile("host-key-file", hostKey);
  return [...identities, ...(hostKeys ?? [])].map((key) => key.reveal());
}

/** The host key in its usual place is a help, not a need: another user's is passed over. */
async function readHostKey(path: string, named: boolean): Promise<readonly Secret[] | undefined> {
  try {
    return await readKeyFile(path);
  } catch (error) {
    if (!named && isPgarkError(error, "denied")) return undefined;
    throw error;
  }
}

function missingKeyFile(option: string, path: string | undefined): PgarkError {
  return new PgarkError("no-identity", "there is no such key file", {
    operation: "read key file",
    object: path,
    hint: `${option} names it: bring the file here, or name where it is`,
  });
}
