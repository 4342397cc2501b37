import type { CommandName } from "./command-names.ts";
import {
  choice,
  clusterName,
  count,
  duration,
  flag,
  list,
  listenAddress,
  path,
  percent,
  rate,
  size,
  spool,
  storeUrl,
  storeUrlList,
  tablespaceMap,
  text,
  thresholds,
  wholeNumber,
} from "./option-type.ts";
import type { OptionType } from "./option-type.ts";

export interface OptionSpec<T> {
  readonly type: OptionType<T>;
  /** a sentence for `--help` and docs/configuration.md, without a full stop */
  readonly description: string;
  /** which commands know it */
  readonly commands: "all" | readonly CommandName[];
  /** the one-letter flag */
  readonly short?: string;
  /** what it is when nobody says; `defaultText` says so to people where the value alone does not */
  readonly default?: T;
  readonly defaultText?: string;
  /** an option of one run, which neither the environment nor pgark.yaml may set */
  readonly flagOnly?: true;
  /** never in pgark.yaml (it is the path of that file) */
  readonly notInFile?: true;
  /** may hold a password: never repeated in a message */
  readonly secret?: true;
}

const WAL: readonly CommandName[] = ["wal-push", "wal-fetch", "wal-pusher", "wal-prefetcher"];
const TARGETED: readonly CommandName[] = ["restore", "plan"];
const STATUS: readonly CommandName[] = ["status", "metrics", "serve"];
const PRUNING: readonly CommandName[] = ["prune", "verify", ...STATUS];
const DELETING: readonly CommandName[] = ["prune", "delete", "forget-timeline"];
const MANAGING: readonly CommandName[] = ["keep", "unkeep", "acknowledge-hole", ...DELETING];
const LOOKING: readonly CommandName[] = ["list", "show", "verify", ...STATUS];
const READING: readonly CommandName[] = ["wal-fetch", "wal-prefetcher", "backup", ...TARGETED, ...LOOKING, ...MANAGING];

/**
 * Every option of pgark, declared once. The name is the long flag and the key in pgark.yaml; the environment variable is
 * `PGARK_` and the name in capitals with underscores. Help, documentation, types and checks are made from this table.
 */
export const OPTIONS = {
  repository: option(storeUrl, {
    description: "where the repository is: file:///srv/pgark",
    commands: "all",
  }),
  repositories: option(storeUrlList, {
    description:
      "several repositories, in place of one: WAL goes to all of them, and comes from the first that has it; other commands " +
      "use the first unless --repository names one",
    commands: "all",
  }),
  quorum: option(wholeNumber(1, 16), {
    description: "how many repositories must have a WAL file before PostgreSQL may recycle it; the others catch up",
    commands: ["wal-push", "wal-pusher"],
    defaultText: "all of them",
  }),
  cluster: option(clusterName, {
    description: "the name of the cluster in the repository",
    commands: "all",
  }),
  config: option(path, {
    description: "the configuration file",
    commands: "all",
    notInFile: true,
    defaultText: "the first of /etc/pgark/pgark.yaml and $XDG_CONFIG_HOME/pgark/pgark.yaml (~/.config) that exists",
  }),
  "identity-file": option(path, {
    description: "the file with the age identity (secret key) that decrypts backups and WAL",
    commands: ["init", ...READING],
  }),
  "host-key-file": option(path, {
    description: "the file with this host's own key, which opens manifests but no data",
    commands: ["init", ...READING],
    defaultText: "<cluster>.host-key beside the configuration file",
  }),
  recipients: option(list, {
    description: "age recipients (public keys) to encrypt to; when given, the repository must have the same ones",
    commands: "all",
  }),
  pgdata: option(path, {
    description: "the data directory of the cluster",
    commands: ["init", "backup", ...WAL, ...STATUS],
    short: "D",
    defaultText:
      "$PGDATA; in wal-push and wal-fetch first the working directory, since PostgreSQL runs them in its data directory",
  }),
  dbname: option(text, {
    description:
      "database name or connection string; PGHOST, PGPORT, PGUSER and the like count as with every PostgreSQL program",
    commands: ["init", "backup", "check", ...STATUS],
    short: "d",
    secret: true,
  }),
  jobs: option(wholeNumber(1, 64), {
    description: "how many workers read, compress and send at once",
    commands: ["backup", "restore", "verify", ...WAL],
    short: "j",
    defaultText: "the number of processors, 4 at most",
  }),
  "compress-level": option(wholeNumber(1, 19), {
    description: "zstd level; higher ones cost much and save little on PostgreSQL's pages",
    commands: ["backup", "wal-push", "wal-pusher"],
    default: 1,
  }),
  rate: option(rate, {
    description: "read no faster than this, to spare the server",
    commands: ["backup"],
    defaultText: "no limit",
  }),
  "wal-timeout": option(duration, {
    description: "how long to wait for the last WAL to reach the repository",
    commands: ["backup", "check"],
    default: 600_000,
    defaultText: "10min",
  }),
  json: option(flag, {
    description: "write JSON for machines; errors and log lines are JSON too, on stderr",
    commands: "all",
    default: false,
  }),
  "log-level": option(choice("debug", "info", "warn", "silent"), {
    description: "which log lines to write to stderr",
    commands: "all",
    defaultText: "info; warn in wal-push and wal-fetch, whose stderr is the server's log",
  }),
  "log-format": option(choice("text", "json"), {
    description: "how log lines are written",
    commands: "all",
    defaultText: "text; json with --json",
  }),
  "no-progress": option(flag, {
    description: "no progress bar, and no progress lines",
    commands: ["backup", "restore", "verify", ...DELETING],
    default: false,
  }),
  "cluster-identity": option(text, {
    description: "which life of the cluster, as <major>-<system identifier>, when the repository holds several",
    commands: [...TARGETED, "list", "show", "status", "verify", ...MANAGING],
    flagOnly: true,
    defaultText: "the one with the newest backup",
  }),
  encrypt: option(flag, {
    description: "make an age identity and encrypt the repository to it; printed once, or written to --identity-file",
    commands: ["init"],
    flagOnly: true,
    default: false,
  }),
  remote: option(flag, {
    description: "read the cluster over the replication protocol even when its data directory can be read here",
    commands: ["backup"],
    default: false,
  }),
  "store-only": option(flag, {
    description: "look at the repository only, not at the server",
    commands: ["check", ...STATUS],
    flagOnly: true,
    default: false,
  }),
  check: option(flag, {
    description: "for monitoring: print one line, and say with the exit code how things stand",
    commands: ["status"],
    flagOnly: true,
    default: false,
  }),
  warn: option(thresholds, {
    description: "from which values on to warn; the names are listed by pgark status --help",
    commands: STATUS,
    default: {},
    defaultText: "those listed there",
  }),
  crit: option(thresholds, {
    description: "from which values on things are critical",
    commands: STATUS,
    default: {},
    defaultText: "those listed there",
  }),
  output: option(path, {
    description: "write to this file instead of standard output, replacing it as a whole",
    commands: ["metrics"],
    flagOnly: true,
  }),
  metrics: option(flag, {
    description: "serve /metrics for Prometheus",
    commands: ["serve"],
    flagOnly: true,
    default: false,
  }),
  listen: option(listenAddress, {
    description: "the address and port to listen on; [::]:9787 is every address",
    commands: ["serve"],
    default: { host: "127.0.0.1", port: 9787 },
    defaultText: "127.0.0.1:9787",
  }),
  interval: option(duration, {
    description: "look no more often than this; who asks sooner gets what was seen last",
    commands: ["serve"],
    default: 60_000,
    defaultText: "1min",
  }),
  "keep-last": option(count, {
    description: "keep so many of the newest backups, and all WAL from the oldest of them on",
    commands: PRUNING,
  }),
  "keep-within": option(duration, {
    description: "keep every moment of this length of time restorable: the recovery window",
    commands: PRUNING,
  }),
  "keep-daily": option(count, {
    description: "keep the newest backup of each of so many days (of UTC) that have one",
    commands: PRUNING,
  }),
  "keep-weekly": option(count, {
    description: "the same for weeks, which begin on Monday",
    commands: PRUNING,
  }),
  "keep-monthly": option(count, {
    description: "the same for months",
    commands: PRUNING,
  }),
  "keep-yearly": option(count, {
    description: "the same for years",
    commands: PRUNING,
  }),
  "abandoned-after": option(duration, {
    description:
      "take a backup that was begun and not completed for abandoned when nothing was heard of it for so long",
    commands: [...DELETING, ...STATUS],
    default: 86_400_000,
    defaultText: "24h",
  }),
  confirm: option(flag, {
    description: "do it; without this only the plan is printed",
    commands: DELETING,
    flagOnly: true,
    default: false,
  }),
  until: option(text, {
    description: "keep it before this moment, a time or a length of time from now; afterwards the policy decides again",
    commands: ["keep"],
    flagOnly: true,
    defaultText: "for ever",
  }),
  reason: option(text, {
    description: "why, for whoever reads it later",
    commands: ["keep", "acknowledge-hole"],
    flagOnly: true,
  }),
  read: option(flag, {
    description: "read everything back in full, not only look whether it is there and how large it is",
    commands: ["verify"],
    flagOnly: true,
    default: false,
  }),
  sample: option(percent, {
    description: "read this share of packs and WAL segments, chosen at random",
    commands: ["verify"],
    flagOnly: true,
    defaultText: "all of them, with --read",
  }),
  seed: option(text, {
    description: "what the sample is chosen by, as an earlier run has printed it, to read the same one again",
    commands: ["verify"],
    flagOnly: true,
    defaultText: "another one each time",
  }),
  "state-file": option(path, {
    description: "keep in this file what has been read, so that a run that was interrupted goes on",
    commands: ["verify"],
    flagOnly: true,
    defaultText: "none: it begins anew",
  }),
  fast: option(flag, {
    description: "begin with an immediate checkpoint instead of waiting for the next one",
    commands: ["backup"],
    default: false,
  }),
  to: option(text, {
    description: "where to end: latest, immediate, <time>, lsn:<lsn>, xid:<xid>, name:<restore point>",
    commands: TARGETED,
    flagOnly: true,
    default: "latest",
  }),
  timeline: option(text, {
    description: "the timeline to end on: latest, current (the backup's), or a number",
    commands: TARGETED,
    flagOnly: true,
    default: "latest",
  }),
  backup: option(text, {
    description: "the label of the backup to begin with",
    commands: TARGETED,
    flagOnly: true,
    defaultText: "the best one for the target",
  }),
  exclusive: option(flag, {
    description: "end just before the target instead of just after it",
    commands: TARGETED,
    flagOnly: true,
    default: false,
  }),
  action: option(choice("pause", "promote", "shutdown"), {
    description: "what the server does when it has reached the target",
    commands: ["restore"],
    flagOnly: true,
    default: "pause",
  }),
  standby: option(flag, {
    description: "restore as a standby, which goes on to follow the archive",
    commands: ["restore"],
    flagOnly: true,
    default: false,
  }),
  tablespace: option(tablespaceMap, {
    description: "put the tablespace that was at old (or has that OID) at new; may be repeated",
    commands: ["restore"],
    flagOnly: true,
  }),
  waldir: option(path, {
    description: "put pg_wal there and link to it",
    commands: ["restore"],
    flagOnly: true,
  }),
  archiving: option(choice("off", "on"), {
    description:
      "on: this is the real cluster come back, it archives on into its history; off: a clone, which must not",
    commands: ["restore"],
    flagOnly: true,
    default: "off",
  }),
  "dry-run": option(flag, {
    description: "print the plan and touch nothing",
    commands: ["restore"],
    flagOnly: true,
    default: false,
  }),
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

export type OptionName = keyof typeof OPTIONS;

type ValueOf<N extends OptionName> = (typeof OPTIONS)[N] extends OptionSpec<infer T> ? T : never;

/** The value of every option; undefined where neither the user nor a fixed default says one. */
export type OptionValues = {
  readonly [N in OptionName]: (typeof OPTIONS)[N] extends { readonly default: unknown }
    ? ValueOf<N>
    : ValueOf<N> | undefined;
};

export const OPTION_NAMES = Object.keys(OPTIONS) as readonly OptionName[];

/** The declaration of an option, without the type of its value. */
export function optionSpec(name: OptionName): OptionSpec<unknown> {
  return OPTIONS[name];
}

/** `identity-file` -> `PGARK_IDENTITY_FILE`; undefined for options of one run. */
export function environmentName(name: OptionName): string | undefined {
  return optionSpec(name).flagOnly ? undefined : `PGARK_${name.replaceAll("-", "_").toUpperCase()}`;
}

/** The options that pgark.yaml may set. */
export function fileOptionNames(): readonly OptionName[] {
  return OPTION_NAMES.filter((name) => !optionSpec(name).flagOnly && !optionSpec(name).notInFile);
}

/** The options of a command, in the order of the table. */
export function optionsOf(command: CommandName): readonly OptionName[] {
  return OPTION_NAMES.filter((name) => {
    const { commands } = optionSpec(name);
    return commands === "all" || commands.includes(command);
  });
}

function option<T, const S extends Omit<OptionSpec<T>, "type">>(
  type: OptionType<T>,
  spec: S,
): S & { readonly type: OptionType<T> } {
  return { ...spec, type };
}
