import { WAL, TARGETED, STATUS, DELETING, MANAGING, READING } from "./commands-of.ts";
import { option } from "../option-spec.ts";
import {
  choice,
  clusterName,
  duration,
  flag,
  list,
  path,
  rate,
  storeUrl,
  storeUrlList,
  text,
  wholeNumber,
} from "../option-type.ts";

/** What most commands have in common: where everything is, who reads it, how it is told. */
export const SHARED_OPTIONS = {
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
} as const;
