import { mkdirSync, statSync } from "node:fs";
import module from "node:module";
import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";

/**
 * Lets node keep compiled code, which makes every later start faster. Only in a directory of the user's own: what lies in the
 * cache is run, and in a shared place such as /tmp others could put it there. Without such a directory there is no cache.
 */
export function enableCompileCache(env: Readonly<Record<string, string | undefined>>): void {
  try {
    const directory = cacheDirectory(env);
    if (directory !== undefined) module.enableCompileCache?.(directory);
  } catch {
    // Only speed is lost.
  }
}

/** The directory for the cache, made when it is missing; undefined when no place is safe. May throw. */
export function cacheDirectory(env: Readonly<Record<string, string | undefined>>): string | undefined {
  const user = process.getuid?.();
  const configured = env["XDG_CACHE_HOME"];
  // homedir() looks into the password file when HOME is not set, and throws for a user who is not in it.
  const base = configured !== undefined && isAbsolute(configured) ? configured : join(homedir(), ".cache");
  const home = configured !== undefined && isAbsolute(configured) ? configured : homedir();
  if (!isAbsolute(base) || home === "/" || !isPrivate(home, user)) return undefined;
  const directory = join(base, "pgark");
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  return isPrivate(directory, user) ? directory : undefined;
}

/** Whether only `user` (and root) can put files there. */
function isPrivate(directory: string, user: number | undefined): boolean {
  const { uid, mode } = statSync(directory);
  return (user === undefined || uid === user) && (mode & 0o022) === 0;
}
