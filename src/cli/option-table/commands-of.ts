import type { CommandName } from "../command-names.ts";

/** Groups of commands that share options. */
export const WAL: readonly CommandName[] = ["wal-push", "wal-fetch", "wal-pusher", "wal-prefetcher"];
export const TARGETED: readonly CommandName[] = ["restore", "plan"];
export const STATUS: readonly CommandName[] = ["status", "metrics", "serve"];
export const PRUNING: readonly CommandName[] = ["prune", "verify", ...STATUS];
export const DELETING: readonly CommandName[] = ["prune", "delete", "forget-timeline"];
export const MANAGING: readonly CommandName[] = ["keep", "unkeep", "acknowledge-hole", ...DELETING];
export const LOOKING: readonly CommandName[] = ["list", "show", "verify", ...STATUS];
export const READING: readonly CommandName[] = [
  "wal-fetch",
  "wal-prefetcher",
  "backup",
  ...TARGETED,
  ...LOOKING,
  ...MANAGING,
];
