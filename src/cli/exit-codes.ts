import { isPgarkError } from "../errors.ts";
import type { ErrorCode } from "../errors.ts";

/** What every command but wal-push and wal-fetch says with its exit code. */
export const EXIT = {
  ok: 0,
  failed: 1,
  usage: 2,
  badPages: 3,
  refused: 4,
  notFound: 5,
  unreachable: 6,
  damaged: 7,
  denied: 8,
  noCommand: 127,
  interrupted: 130,
  terminated: 143,
} as const;

/**
 * The contract of restore_command: 1 to 125 mean "no such file, the archive ends here", more than 125 stops recovery. A
 * standby must not be stopped, it asks again; there a failure may say 2.
 */
export const WAL_FETCH_EXIT = { delivered: 0, absent: 1, unknownOnStandby: 2, unknown: 200 } as const;

/** The codes of monitoring plugins (Nagios, Icinga and whatever else runs those), for `status --check`. */
export const CHECK_EXIT = { ok: 0, warning: 1, critical: 2, unknown: 3 } as const;

/**
 * What node answers to `bin/pgark --through-front`. Codes that no crash and no other program gives by chance: the front takes
 * nothing else for an answer (node itself exits with 1 when a module is missing, and with 0 when it has nothing left to do).
 */
export const FRONT_ANSWER = { done: 100, absent: 101, unfitNode: 102, failed: 103 } as const;

export interface ExitCodeRow {
  readonly code: number;
  readonly meaning: string;
}

const ROWS: Readonly<Record<keyof typeof EXIT, string>> = {
  ok: "done",
  failed: "failed",
  usage: "the command line or the configuration is wrong",
  badPages: "the backup was taken, but pages with wrong checksums are in it",
  refused: "refused: going on would be unsafe, or the moment cannot be reached; nothing was touched",
  notFound: "the repository, the cluster or the backup does not exist",
  unreachable: "the store or the server did not answer; trying again later may help",
  damaged: "bytes are not what they must be, or belong to another cluster",
  denied: "credentials, permissions or a decryption key are missing or wrong",
  noCommand: "there is no such command",
  interrupted: "stopped by SIGINT",
  terminated: "stopped by SIGTERM",
};

const COMMON = [
  "ok",
  "failed",
  "usage",
  "notFound",
  "unreachable",
  "damaged",
  "denied",
  "interrupted",
  "terminated",
] as const;

/** The exit-code table of an ordinary command; `extra` names the codes that only some commands have. */
export function exitCodeTable(extra: readonly (keyof typeof EXIT)[] = []): readonly ExitCodeRow[] {
  return [...COMMON, ...extra].map((key) => ({ code: EXIT[key], meaning: ROWS[key] })).sort((a, b) => a.code - b.code);
}

export const WAL_PUSH_EXIT_TABLE: readonly ExitCodeRow[] = [
  { code: 0, meaning: "the file is in the repository, durable" },
  { code: 1, meaning: "it is not, whatever the reason; PostgreSQL keeps the file and asks again" },
  { code: EXIT.interrupted, meaning: ROWS.interrupted },
  { code: EXIT.terminated, meaning: ROWS.terminated },
];

const CHECKED: Readonly<Record<number, string>> = {
  [CHECK_EXIT.ok]: "ok",
  [CHECK_EXIT.warning]: "warning",
  [CHECK_EXIT.critical]: "critical",
};

/** With `--check`, the codes of monitoring plugins; without, those of every command. */
export const STATUS_EXIT_TABLE: readonly ExitCodeRow[] = [
  ...exitCodeTable().map(({ code, meaning }) => ({
    code,
    meaning: CHECKED[code] === undefined ? meaning : `${meaning}; with --check: ${CHECKED[code]}`,
  })),
  {
    code: CHECK_EXIT.unknown,
    meaning: "with --check: unknown; whatever kept it from looking, a mistake in the command line too",
  },
].sort((a, b) => a.code - b.code);

export const WAL_FETCH_EXIT_TABLE: readonly ExitCodeRow[] = [
  { code: WAL_FETCH_EXIT.delivered, meaning: "the file is in place, whole and verified" },
  {
    code: WAL_FETCH_EXIT.absent,
    meaning: "the store answered that it does not exist; recovery takes this for the end of the archive",
  },
  {
    code: WAL_FETCH_EXIT.unknownOnStandby,
    meaning: "could not find out, on a standby (standby.signal is here): PostgreSQL asks again",
  },
  { code: EXIT.interrupted, meaning: ROWS.interrupted },
  { code: EXIT.terminated, meaning: ROWS.terminated },
  {
    code: WAL_FETCH_EXIT.unknown,
    meaning: "could not find out: recovery stops, and goes on from here when the server is started again",
  },
];

const BY_ERROR: Readonly<Record<ErrorCode, number>> = {
  usage: EXIT.usage,
  "not-found": EXIT.notFound,
  "no-cluster": EXIT.notFound,
  exists: EXIT.failed,
  denied: EXIT.denied,
  throttled: EXIT.unreachable,
  unavailable: EXIT.unreachable,
  corrupt: EXIT.damaged,
  conflict: EXIT.damaged,
  "identity-mismatch": EXIT.damaged,
  "no-identity": EXIT.denied,
  "newer-format": EXIT.failed,
  refused: EXIT.refused,
  postgres: EXIT.failed,
  io: EXIT.failed,
  aborted: EXIT.terminated,
};

/** What is known when a command has failed. */
export interface FailureContext {
  /** the command named on the command line, or undefined when it named none */
  readonly command: string | undefined;
  /** whether `standby.signal` is in the working directory */
  readonly standby: boolean;
  /** `status --check`: monitoring reads 1 and 2 as things that were seen */
  readonly monitoring?: boolean;
  /** the signal that pgark was asked to stop with */
  readonly stoppedBy: "SIGINT" | "SIGTERM" | undefined;
}

/** The exit code of a failure; `error` is undefined for one that could not even be reported. */
export function failureExitCode(error: unknown, context: FailureContext): number {
  if (context.stoppedBy !== undefined) return context.stoppedBy === "SIGINT" ? EXIT.interrupted : EXIT.terminated;
  if (context.monitoring === true) return CHECK_EXIT.unknown;
  if (context.command === "wal-push") return EXIT.failed;
  if (context.command === "wal-fetch")
    return context.standby ? WAL_FETCH_EXIT.unknownOnStandby : WAL_FETCH_EXIT.unknown;
  // A mistyped restore_command ("pgark wal-fech") must not read as the end of the archive: the shell's own 127 stops recovery.
  if (context.command === undefined) return EXIT.noCommand;
  return isPgarkError(error) ? BY_ERROR[error.code] : EXIT.failed;
}

/** The exit code under `bin/pgark --through-front`, which only wal-push and wal-fetch run with. */
export function frontAnswer(command: string | undefined, code: number): number {
  if (code === 0) return FRONT_ANSWER.done;
  if (command === "wal-fetch" && code === WAL_FETCH_EXIT.absent) return FRONT_ANSWER.absent;
  return code === EXIT.interrupted || code === EXIT.terminated ? code : FRONT_ANSWER.failed;
}
