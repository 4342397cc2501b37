/** The commands of pgark. Apart from their table, so that the first lines of the program know them without loading it. */
export const COMMAND_NAMES = [
  "init",
  "wal-push",
  "wal-fetch",
  "backup",
  "restore",
  "plan",
  "check",
  "list",
  "show",
  "status",
  "metrics",
  "serve",
  "verify",
  "prune",
  "keep",
  "unkeep",
  "delete",
  "forget-timeline",
  "acknowledge-hole",
  "wal-pusher",
  "wal-prefetcher",
] as const;

/** Started by pgark itself, in the background; people are not told of them. */
export const BACKGROUND_COMMANDS: readonly CommandName[] = ["wal-pusher", "wal-prefetcher"];

export type CommandName = (typeof COMMAND_NAMES)[number];

/** `status --check`: whoever runs it reads exit codes 1 and 2 as something that was seen. */
export function isMonitoring(argv: readonly string[]): boolean {
  return commandIn(argv) === "status" && argv.includes("--check");
}

/** The first word that names a command, wherever it stands: what the user meant to run, even when the rest is wrong. */
export function commandIn(argv: readonly string[]): CommandName | undefined {
  return COMMAND_NAMES.find(
    (name) => name === argv.find((word) => (COMMAND_NAMES as readonly string[]).includes(word)),
  );
}
