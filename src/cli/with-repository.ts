import { isPgarkError, PgarkError } from "../errors.ts";
import { openRepository } from "../repository/repository.ts";
import type { Repository } from "../repository/repository.ts";
import { RepositoryMember } from "../repository/members.ts";
import type { ObjectStore } from "../storage/object-store.ts";
import { openStore } from "../storage/open-store.ts";
import type { CommandRun } from "./command.ts";
import { readKeyFile } from "./key-files.ts";
import type { Secret } from "./secret.ts";
import { hostKeyPath, mainRepository, repositoriesOf, required } from "./settings.ts";

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
  const store = await openStore(mainRepository(run.settings), { environment: run.io.env });
  try {
    const recipients = run.settings.values.recipients ?? [];
    return await work(await openRepository({ store, cluster, identities, recipients, signal: run.io.signal }));
  } finally {
    await store.close();
  }
}

/** Works with all repositories that the settings name; each is opened when it is first needed. Closes their stores. */
export async function withMembers<T>(
  run: CommandRun,
  options: WithRepositoryOptions,
  work: (members: readonly RepositoryMember[]) => Promise<T>,
): Promise<T> {
  const { settings, io } = run;
  const cluster = required(settings, "cluster");
  const identities = options.keys === "none" ? [] : await secretKeys(run, cluster);
  const recipients = settings.values.recipients ?? [];
  const stores = new Set<ObjectStore>();
  let ended = false;
  const open = async (url: string): Promise<Repository> => {
    const store = await openStore(url, { environment: io.env });
    stores.add(store);
    try {
      const repository = await openRepository({ store, cluster, identities, recipients, signal: io.signal });
      if (!ended) return repository;
    } catch (error) {
      // It may be tried again for as long as the process lives.
      stores.delete(store);
      await store.close();
      throw error;
    }
    await store.close();
    throw new PgarkError("aborted", "nobody needs it any more", { operation: "open repository", object: store.url });
  };
  const members = repositoriesOf(settings).map((url) => new RepositoryMember(withoutUser(url), () => open(url)));
  try {
    return await work(members);
  } finally {
    ended = true;
    for (const store of stores) await store.close();
  }
}

/** A URL without what somebody may have written into it as a user and password. */
function withoutUser(url: string): string {
  return url.replace(/\/\/[^/?#]*@/, "//");
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
