import type { CommandSpec } from "../command-spec.ts";
import { exitCodeTable } from "../exit-codes.ts";

/** What stays, and what is deleted. */
export const RETENTION_COMMANDS: readonly CommandSpec[] = [
  {
    name: "prune",
    args: [],
    summary: "delete what the retention policy does not keep",
    description:
      "Shows what the retention policy (keep-last, keep-within, keep-daily, ...: what any of them keeps is kept) lets go: a verdict " +
      "with a reason for every backup and every stretch of WAL, what it frees and what can be restored before and after. With " +
      "--confirm it deletes that, and what writers left behind that are gone. Never the last backup that can be restored, nor a " +
      "backup that is being taken, nor anything that one of those needs.",
    examples: [
      { text: "what would go", command: "pgark prune --keep-within 30d --keep-monthly 12" },
      { text: "every day, with the policy in pgark.yaml", command: "pgark prune --confirm" },
      { text: "for a script: what it would free", command: "pgark prune --json | jq '.lives[].frees'" },
    ],
    exitCodes: exitCodeTable(["refused"]),
    load: () => import("../commands/prune.ts"),
  },
  {
    name: "keep",
    args: [{ name: "label", description: "the label of a backup, as list prints it" }],
    summary: "keep a backup whatever the policy says",
    description:
      "Pins a backup: prune keeps it, and the WAL that it needs to be restored, for ever or until a moment. A second pin does " +
      "not shorten the first.",
    examples: [
      { text: "for ever", command: 'pgark keep 20261120T100000Z --reason "before the migration"' },
      { text: "for three months", command: "pgark keep 20261120T100000Z --until 90d" },
      { text: "until a moment", command: "pgark keep 20261120T100000Z --until 2027-04-01" },
    ],
    exitCodes: exitCodeTable(),
    load: () => import("../commands/keep.ts"),
  },
  {
    name: "unkeep",
    args: [{ name: "label", description: "the label of a backup, as list prints it" }],
    summary: "take back what keep said",
    description: "Takes all pins of a backup away. The policy decides about it again, the next time that prune runs.",
    examples: [{ text: "let go", command: "pgark unkeep 20261120T100000Z" }],
    exitCodes: exitCodeTable(),
    load: () => import("../commands/unkeep.ts"),
  },
  {
    name: "delete",
    args: [{ name: "label", description: "the label of a backup, as list prints it" }],
    summary: "delete one backup",
    description:
      "Deletes one backup, with --confirm; other backups do not depend on it. Its WAL stays until prune finds that nothing " +
      "needs it. Refuses a pinned backup, one that is being taken, and the last one that can be restored.",
    examples: [
      { text: "what it would do", command: "pgark delete 20261120T100000Z" },
      { text: "do it", command: "pgark delete 20261120T100000Z --confirm" },
    ],
    exitCodes: exitCodeTable(["refused"]),
    load: () => import("../commands/delete.ts"),
  },
  {
    name: "forget-timeline",
    args: [{ name: "timeline", description: "its number, decimal" }],
    summary: "delete all there is of one timeline",
    description:
      "Deletes the WAL of a timeline, its history and the backups that were taken on it, with --confirm: for a branch that should " +
      "never have been, such as a clone that archived into its source's history. Refuses a timeline that a younger one comes " +
      "from, the newest one when backups were taken on it, and whatever would leave nothing that can be restored.",
    examples: [
      { text: "what it would do", command: "pgark forget-timeline 3" },
      { text: "do it", command: "pgark forget-timeline 3 --confirm" },
    ],
    exitCodes: exitCodeTable(["refused"]),
    load: () => import("../commands/forget-timeline.ts"),
  },
  {
    name: "acknowledge-hole",
    args: [
      { name: "first", description: "the name of the first missing WAL segment" },
      { name: "last", description: "the name of the last one; the first when left out", optional: true },
    ],
    summary: "say that missing WAL is known to be missing",
    description:
      "Writes down that somebody knows of a hole in the archived WAL, so that status and verify no longer call it a fault. What " +
      "lies behind the hole does not become restorable by it: only a new backup helps there.",
    examples: [
      {
        text: "segments that a crash took with it",
        command: 'pgark acknowledge-hole 0000000100000002000000A7 0000000100000002000000A9 --reason "disk lost"',
      },
    ],
    exitCodes: exitCodeTable(["refused"]),
    load: () => import("../commands/acknowledge-hole.ts"),
  },
];
