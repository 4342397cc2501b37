/** The oldest Node.js that pgark runs on; `bin/pgark` and package.json say the same. */
export const MINIMUM_NODE = "22.12";

/** Whether a version such as "24.1.0" is at least the minimum. */
export function isFitNode(version: string): boolean {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const [leastMajor = 0, leastMinor = 0] = MINIMUM_NODE.split(".").map(Number);
  return major > leastMajor || (major === leastMajor && minor >= leastMinor);
}

/** What to tell someone whose node is too old. */
export function unfitNodeMessage(version: string, path: string): string {
  return (
    `pgark: Node.js ${version} ("${path}") is too old: pgark needs ${MINIMUM_NODE} or newer\n` +
    `HINT: install a newer one, or name it: PGARK_NODE=/path/to/node\n`
  );
}
