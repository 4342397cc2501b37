import { isPgarkError } from "../errors.ts";
import type { Log } from "../log.ts";
import { isTransient } from "../retry.ts";
import type { RepositoryMember } from "../repository/members.ts";
import type { Repository } from "../repository/repository.ts";

/**
 * Asks the repositories in order and takes the first that has what is wanted. "absent" only when every one of them said so: one
 * that could not be asked may have it, and then its failure is thrown, one that may pass before others. A damaged copy is passed
 * over for a good one.
 */
export async function fromFirst<T>(
  members: readonly RepositoryMember[],
  work: (repository: Repository) => Promise<T | "absent">,
  log: Log,
): Promise<T | "absent"> {
  if (members.length === 0) throw new Error("nobody was asked");
  const failures: { readonly member: RepositoryMember; readonly error: unknown }[] = [];
  // One that failed a moment ago is asked last.
  const order = [...members].sort((a, b) => Number(a.away !== undefined) - Number(b.away !== undefined));
  for (const member of order) {
    try {
      const result = await work(await member.open());
      member.away = undefined;
      if (result === "absent") continue;
      for (const { member: passed, error } of failures) log.warn(`passed over ${passed.url}`, { error });
      return result;
    } catch (error) {
      if (isPgarkError(error, "aborted") || members.length === 1) throw error;
      // One file that is damaged says nothing of the next.
      if (!isPgarkError(error, "corrupt")) member.away = error;
      failures.push({ member, error });
    }
  }
  const failure = failures.find(({ error }) => isTransient(error)) ?? failures[0];
  if (failure !== undefined) throw failure.error;
  return "absent";
}
