import type { CommandSpec } from "../command-spec.ts";
import { exitCodeTable, WAL_FETCH_EXIT_TABLE, WAL_PUSH_EXIT_TABLE } from "../exit-codes.ts";

const TARGET_EXAMPLES = {
  time: `--to "2026-11-20 10:00:00+01"`,
} as const;

/** Archiving, backups, and the way back. */
export const MAIN_JOB_COMMANDS: readonly CommandSpec[] = [
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
    load: () => import("../commands/init.ts"),
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
    load: () => import("../commands/wal-push.ts"),
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
    load: () => import("../commands/wal-fetch.ts"),
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
    load: () => import("../commands/backup.ts"),
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
    load: () => import("../commands/restore.ts"),
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
    load: () => import("../commands/plan.ts"),
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
    load: () => import("../commands/check.ts"),
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
    load: () => import("../commands/list.ts"),
  },
  {
    name: "show",
    args: [{ name: "label", description: "the label of a backup, as list prints it" }],
    summary: "show one backup",
    description: "Shows all that is recorded of one backup.",
    examples: [{ text: "one backup", command: "pgark show 20261120T100000Z" }],
    exitCodes: exitCodeTable(),
    load: () => import("../commands/show.ts"),
  },
];
