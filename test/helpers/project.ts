import { join } from "node:path";

/** Where package.json, bin/ and dist/ are. */
export const projectDirectory = join(import.meta.dirname, "../..");

/** The environment of this process without what would steer pgark, libpq or npm: tests say all of that themselves. */
export function plainEnvironment(
  additions: Readonly<Record<string, string | undefined>> = {},
): Record<string, string | undefined> {
  const plain = Object.entries(process.env).filter(([name]) => !/^(PG|npm_|VITEST|NODE_)/.test(name));
  return { ...Object.fromEntries(plain), ...additions };
}
