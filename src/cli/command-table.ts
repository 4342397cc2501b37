import { exitCodeTable, STATUS_EXIT_TABLE, WAL_FETCH_EXIT_TABLE, WAL_PUSH_EXIT_TABLE } from "./exit-codes.ts";
import type { ExitCodeRow } from "./exit-codes.ts";
import type { CommandMain } from "./command.ts";
import type { CommandName } from "./command-names.ts";
import { thresholdHelp } from "./threshold-text.ts";

export interface Example {
  readonly text: string;
  readonly command: string;
}

/** All of a command but what it does; that is loaded when it is run. */
export interface CommandSpec {
  readonly name: CommandName;
  /** its arguments; all but the optional ones at the end are needed */
  readonly args: readonly { readonly name: string; readonly description: string; readonly optional?: true }[];
  readonly summary: string;
  readonly description: string;
  readonly examples: readonly Example[];
  readonly exitCodes: readonly ExitCodeRow[];
  /** what else its help explains: a title, and a text that is there when it is asked for */
  readonly section?: { readonly title: string; readonly text: () => string };
  readonly load: () => Promise<{ readonly main: CommandMain }>;
}

const TARGET_EXAMPLES = {
  time: `--to "2026-11-20 10:00:00+01"`,
} as const;

export const COMMANDS: readonly CommandSpec[] = [
  {
    name: "init",
    args: [],
    summary: "create a cluster in the repository",
    description:
      "Creates the records of a cluster in the repository, for the PostgreSQL cluster in --pgdata or behind a connection. " +
      "Running it again changes nothing; after pg_upgrade it begins the cluster's next life beside the earlier ones. " +
      "Prints what postgresql.conf needs.",
    examples: [
      {
        text: "a repository on a disk",
        command: "pgark init --repository file:///srv/pgark --cluster main --pgdata /var/lib/postgresql/17/main",
      },
      {
        text: "encrypted, the secret key written to a file that belongs elsewhere",
        command: "pgark init --encrypt --identity-file /mnt/safe/main.age",
      },
      { text: "encrypted to keys of your own (age-keygen)", command: "pgark init --recipients age1...,age1..." },
    ],
    exitCodes: exitCodeTable(["refused"]),
    load: () => import("./commands/init.ts"),
  },
  {
    name: "wal-push",
    args: [{ name: "path", description: "the WAL file: %p of archive_command" }],
    summary: "archive one WAL file (archive_command)",
    description:
      "Stores one WAL file and exits with 0 only when it is durable in the repository. For PostgreSQL's archive_command. " +
      "The same file again is success; other content under the same name is a conflict and never overwrites anything.",
    examples: [
      { text: "in postgresql.conf", command: `archive_command = 'pgark wal-push "%p" --config /etc/pgark/pgark.yaml'` },
      { text: "by hand", command: "cd $PGDATA && pgark wal-push pg_wal/00000001000000000000000A" },
    ],
    exitCodes: WAL_PUSH_EXIT_TABLE,
    load: () => import("./commands/wal-push.ts"),
  },
  {
    name: "wal-fetch",
    args: [
      { name: "name", description: "the file that is wanted: %f of restore_command" },
      { name: "destination", description: "where it is to be: %p of restore_command" },
    ],
    summary: "bring back one WAL file (restore_command)",
    description:
      "Brings one WAL file back, verified and whole. For PostgreSQL's restore_command, which reads the exit code as a fact: " +
      "1 says that the file does not exist, so no failure ever says 1.",
    examples: [
      {
        text: "in postgresql.conf (restore writes it for you)",
        command: `restore_command = 'pgark wal-fetch %f "%p" --config /etc/pgark/pgark.yaml'`,
      },
      { text: "by hand", command: "cd $PGDATA && pgark wal-fetch 00000001000000000000000A /tmp/segment" },
    ],
    exitCodes: WAL_FETCH_EXIT_TABLE,
    load: () => import("./commands/wal-fetch.ts"),
  },
  {
    name: "backup",
    args: [],
    summary: "take a base backup",
    description:
      "Takes a base backup of a running cluster, from its data directory when that can be read here, else over the " +
      "replication protocol. It exists once all WAL that it needs is in the repository, and not before.",
    examples: [
      { text: "of the cluster that PGHOST, PGPORT and PGUSER lead to", command: "pgark backup" },
      { text: "gently", command: "pgark backup --jobs 2 --rate 100MB/s" },
      { text: "over the network", command: `pgark backup --remote --dbname "host=db1 user=backup"` },
    ],
    exitCodes: exitCodeTable(["badPages", "refused"]),
    load: () => import("./commands/backup.ts"),
  },
  {
    name: "restore",
    args: [{ name: "pgdata", description: "the data directory to make: empty or not yet there" }],
    summary: "restore a cluster to a moment",
    description:
      "Restores the best backup for the target into an empty directory and sets PostgreSQL up to replay WAL to the target. " +
      "Prints the plan first. Unless --archiving on is given, the restored cluster does not archive: two clusters must not " +
      "write one history.",
    examples: [
      {
        text: "all there is, as the real cluster",
        command: "pgark restore /var/lib/postgresql/17/main --archiving on",
      },
      {
        text: "a clone as it was at a moment",
        command: `pgark restore /srv/clone ${TARGET_EXAMPLES.time} --action promote`,
      },
      { text: "only show what would happen", command: "pgark restore /srv/clone --to lsn:0/5000060 --dry-run" },
      { text: "a tablespace elsewhere", command: "pgark restore /srv/clone --tablespace /mnt/fast=/srv/clone-fast" },
    ],
    exitCodes: exitCodeTable(["refused"]),
    load: () => import("./commands/restore.ts"),
  },
  {
    name: "plan",
    args: [],
    summary: "show what restore would do",
    description:
      "Shows which backup, timelines and WAL a restore would use, what is proven about them and what is not; or why the " +
      "target cannot be reached, and which moments can. Touches nothing.",
    examples: [
      { text: "to the end of the archive", command: "pgark plan" },
      { text: "to a moment", command: `pgark plan ${TARGET_EXAMPLES.time}` },
      { text: "for a script", command: "pgark plan --to name:before-migration --json" },
    ],
    exitCodes: exitCodeTable(["refused"]),
    load: () => import("./commands/plan.ts"),
  },
  {
    name: "check",
    args: [],
    summary: "try everything that archiving and backups need",
    description:
      "Tries on the real repository what pgark asks of a store (credentials, write, create only, read, list, delete), looks at " +
      "PostgreSQL's settings, then has it finish a WAL segment and waits to see it arrive. Each line says ok, or what to do.",
    examples: [
      { text: "all of it", command: "pgark check" },
      { text: "only the store, from a machine that does not reach the server", command: "pgark check --store-only" },
    ],
    exitCodes: exitCodeTable([]),
    load: () => import("./commands/check.ts"),
  },
  {
    name: "list",
    args: [],
    summary: "list backups and the moments that can be restored",
    description:
      "Lists the complete backups of a cluster, oldest first, and the stretches of time that can be restored.",
    examples: [
      { text: "for people", command: "pgark list" },
      { text: "for machines: the labels", command: "pgark list --json | jq -r '.lives[].backups[].label'" },
    ],
    exitCodes: exitCodeTable(),
    load: () => import("./commands/list.ts"),
  },
  {
    name: "show",
    args: [{ name: "label", description: "the label of a backup, as list prints it" }],
    summary: "show one backup",
    description: "Shows all that is recorded of one backup.",
    examples: [{ text: "one backup", command: "pgark show 20261120T100000Z" }],
    exitCodes: exitCodeTable(),
    load: () => import("./commands/show.ts"),
  },
  {
    name: "status",
    args: [],
    summary: "tell what can be restored, what is wrong and what to do",
    description:
      "Tells what can be restored, how far behind archiving is, when the last backup was taken and what is wrong, each problem " +
      "with what to do about it. Asks the repository, and the server and its data directory as far as they can be reached " +
      "(a role in pg_monitor sees all of it). With --check it is a plugin for monitoring: one line and an exit code.",
    examples: [
      { text: "how things stand", command: "pgark status" },
      {
        text: "for Nagios, Icinga and the like",
        command: "pgark status --check --warn backup-age=26h,wal-lag=512MB --crit backup-age=50h,window=7d",
      },
      { text: "for a script", command: "pgark status --json | jq -r '.findings[].problem'" },
    ],
    exitCodes: STATUS_EXIT_TABLE,
    section: { title: "Thresholds of --warn and --crit, and their defaults", text: thresholdHelp },
    load: () => import("./commands/status.ts"),
  },
  {
    name: "metrics",
    args: [],
    summary: "print metrics for Prometheus",
    description:
      "Prints what status finds out as metrics in Prometheus' text format, once. With --output it replaces a file, as the " +
      "textfile collector of the node exporter wants it; should it fail, the file says so.",
    examples: [
      { text: "to see them", command: "pgark metrics" },
      {
        text: "for the node exporter, every few minutes",
        command: "pgark metrics --output /var/lib/prometheus/node-exporter/pgark.prom",
      },
    ],
    exitCodes: exitCodeTable(),
    load: () => import("./commands/metrics.ts"),
  },
  {
    name: "serve",
    args: [],
    summary: "serve metrics over HTTP",
    description:
      "Serves /metrics for Prometheus, and /healthz, until it is stopped by SIGTERM or SIGINT. It looks when it is asked, at " +
      "most once every --interval and never twice at once.",
    examples: [
      { text: "on this machine alone", command: "pgark serve --metrics" },
      { text: "for a Prometheus elsewhere", command: "pgark serve --metrics --listen 0.0.0.0:9787 --interval 5min" },
    ],
    exitCodes: exitCodeTable(),
    load: () => import("./commands/serve.ts"),
  },
  {
    name: "verify",
    args: [],
    summary: "prove that what is in the repository can be restored",
    description:
      "Looks whether every object of every backup is there and as large as recorded, whether manifests and records are whole, and " +
      "whether WAL has holes. With --read it reads all of it back: decrypts, decompresses, and checks digests, page checksums and " +
      "WAL records. Tells each fault, and which backups and moments are lost by it. Faults never stop it.",
    examples: [
      { text: "by lists, in seconds", command: "pgark verify" },
      {
        text: "everything, and go on where it was when it was interrupted",
        command: "pgark verify --read --state-file /var/lib/pgark/verify.json",
      },
      { text: "every night another twentieth", command: "pgark verify --sample 5%" },
      { text: "for a script: what is lost", command: "pgark verify --json | jq '.lives[].lost'" },
    ],
    exitCodes: exitCodeTable(),
    load: () => import("./commands/verify.ts"),
  },
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
    load: () => import("./commands/prune.ts"),
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
    load: () => import("./commands/keep.ts"),
  },
  {
    name: "unkeep",
    args: [{ name: "label", description: "the label of a backup, as list prints it" }],
    summary: "take back what keep said",
    description: "Takes all pins of a backup away. The policy decides about it again, the next time that prune runs.",
    examples: [{ text: "let go", command: "pgark unkeep 20261120T100000Z" }],
    exitCodes: exitCodeTable(),
    load: () => import("./commands/unkeep.ts"),
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
    load: () => import("./commands/delete.ts"),
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
    load: () => import("./commands/forget-timeline.ts"),
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
    load: () => import("./commands/acknowledge-hole.ts"),
  },
  {
    name: "wal-pusher",
    args: [],
    summary: "archive ahead of archive_command",
    description:
      "The background process of wal-push: archives what PostgreSQL has ready, several files at once, and ends when there is " +
      "nothing more to do. wal-push starts it by itself.",
    examples: [],
    exitCodes: exitCodeTable(),
    load: () => import("./commands/wal-pusher.ts"),
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
    load: () => import("./commands/wal-prefetcher.ts"),
  },
];
