import { WAL, STATUS } from "./commands-of.ts";
import { option } from "../option-spec.ts";
import { duration, flag, size, spool, wholeNumber } from "../option-type.ts";

/** Of archiving and fetching WAL. */
export const WAL_OPTIONS = {
  partial: option(flag, {
    description:
      "where a segment does not exist, serve its .partial: for recovery to the very end of a timeline that was left",
    commands: ["wal-fetch", "wal-prefetcher"],
    flagOnly: true,
    default: false,
  }),
  spool: option(spool, {
    description:
      "the directory, of PostgreSQL's user alone, for acknowledgements and for WAL fetched ahead; off: archive and fetch " +
      "one file at a time. Best on the file system of pg_wal",
    commands: ["restore", ...STATUS, ...WAL],
    notInFile: true,
    defaultText: "<data directory>.pgark-spool, beside the data directory",
  }),
  prefetch: option(size, {
    description: "how much WAL to bring ahead of recovery; 0: none",
    commands: ["wal-fetch", "wal-prefetcher"],
    default: 256 * 1024 * 1024,
    defaultText: "256MB",
  }),
  "backlog-warning": option(wholeNumber(0, 1_000_000), {
    description: "from how many WAL files that wait to be archived on a warning is logged; 0: never",
    commands: ["wal-push", "wal-pusher"],
    default: 64,
  }),
  linger: option(duration, {
    description: "how long the background process waits for more work before it ends",
    commands: WAL,
    default: 60_000,
    defaultText: "1min",
  }),
} as const;
