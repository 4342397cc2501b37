import type { CommandSpec } from "../command-spec.ts";
import { exitCodeTable } from "../exit-codes.ts";

/** What pgark starts by itself. */
export const BACKGROUND_PROCESSES: readonly CommandSpec[] = [
  {
    name: "wal-pusher",
    args: [],
    summary: "archive ahead of archive_command",
    description:
      "The background process of wal-push: archives what PostgreSQL has ready, several files at once, and ends when there is " +
      "nothing more to do. wal-push starts it by itself.",
    examples: [],
    exitCodes: exitCodeTable(),
    load: () => import("../commands/wal-pusher.ts"),
  },
  {
    name: "wal-prefetcher",
    args: [{ name: "after", description: "the file that PostgreSQL asked for last" }],
    summary: "fetch ahead of restore_command",
    description:
      "The background process of wal-fetch: brings the next WAL segments, several at once, and ends when recovery asks for " +
      "nothing more. wal-fetch starts it by itself.",
    examples: [],
    exitCodes: exitCodeTable(),
    load: () => import("../commands/wal-prefetcher.ts"),
  },
];
