import { existsSync } from "node:fs";
import { join } from "node:path";

/** Whether the server that works in `directory` is a standby; with both signal files PostgreSQL takes it for one. */
export function isStandby(directory: string): boolean {
  return existsSync(join(directory, "standby.signal"));
}
