import type { CommandSpec } from "../command-spec.ts";
import { exitCodeTable, STATUS_EXIT_TABLE } from "../exit-codes.ts";
import { thresholdHelp } from "../threshold-text.ts";

/** What can be restored, told and proven. */
export const MONITORING_COMMANDS: readonly CommandSpec[] = [
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
    load: () => import("../commands/status.ts"),
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
    load: () => import("../commands/metrics.ts"),
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
    load: () => import("../commands/serve.ts"),
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
    load: () => import("../commands/verify.ts"),
  },
];
