import type { BackupOptions } from "./backup-types.ts";

/** Said before backup mode is asked for: an idle server may take minutes over its checkpoint, and nothing is seen to happen. */
export function announceCheckpoint(options: Pick<BackupOptions, "fast" | "log">): void {
  options.log.info(
    options.fast
      ? "waiting for an immediate checkpoint"
      : "waiting for a checkpoint, which may take minutes (--fast does it at once)",
  );
}
