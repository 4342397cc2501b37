import { readFileSync } from "node:fs";
import { ioError } from "../errors.ts";

/** What a driver takes from the environment; credentials are each cloud's own affair. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** Node's agents follow HTTP_PROXY, HTTPS_PROXY and NO_PROXY when they are handed them (22.21, 24.5 and later). */
export function proxyOptions(environment: Environment): { readonly proxyEnv?: NodeJS.ProcessEnv } {
  const names = ["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"].flatMap((name) => [name, name.toLowerCase()]);
  const set = names.flatMap((name) => (environment[name] === undefined ? [] : [[name, environment[name]] as const]));
  return set.length === 0 ? {} : { proxyEnv: Object.fromEntries(set) };
}

/** Certificate authorities from a PEM file, for an agent; Node's own without one. */
export function authorityOptions(file: string | undefined): { readonly ca?: Buffer } {
  if (file === undefined) return {};
  try {
    return { ca: readFileSync(file) };
  } catch (error) {
    throw ioError("read certificate authorities", file, error);
  }
}
