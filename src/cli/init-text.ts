import { formatBytes } from "../format.ts";
import { formatIdentity } from "../postgres/cluster-identity.ts";
import type { InitResult } from "../repository/init-repository.ts";
import type { Paint } from "./colours.ts";
import type { InitKeys } from "./init-keys.ts";
import { section } from "./plan-text.ts";
import type { Secret } from "./secret.ts";
import type { ServerFacts } from "./server-facts.ts";
import { configurationQuote } from "./shell-quote.ts";

/** A new secret key, shown this once. */
export function newKeyText(identity: Secret, cluster: string, paint: Paint): string {
  return (
    `${paint(["bold", "red"], `THIS IS THE ONLY COPY OF THE KEY OF CLUSTER ${cluster}.`)}\n` +
    `Without it no backup can be restored, by anyone. pgark keeps it nowhere and shows it this once:\n` +
    `write it to a file in a safe place, away from the database host and from the repository.\n\n` +
    `${identity.reveal()}\n\n`
  );
}

export interface InitOutcome {
  readonly cluster: string;
  readonly facts: ServerFacts;
  readonly keys: InitKeys;
  readonly result: InitResult;
  readonly archiveCommand: string;
}

/** What init did, and what PostgreSQL must be told. */
export function initText(outcome: InitOutcome, paint: Paint): string {
  const { cluster, facts, keys, result } = outcome;
  const life = `${formatIdentity(facts.identity)}, WAL segments of ${formatBytes(facts.walSegmentSize)}`;
  const done = result.created
    ? `created cluster ${cluster} (${life})`
    : result.identityCreated
      ? `cluster ${cluster} exists; added its new life (${life})`
      : `cluster ${cluster} exists (${life}); nothing was changed`;
  const kept = [
    ...(keys.identityFile === undefined
      ? []
      : [`${keys.identityFile}: the secret key; without it nothing can be restored: keep it safe, and not only here`]),
    ...(keys.hostKeyFile === undefined
      ? []
      : [`${keys.hostKeyFile}: this host's own key; it stays with the configuration`]),
  ];
  return (
    `${paint("green", done)}\n` +
    (result.recipients.length === 0
      ? section(
          "not encrypted",
          ["encryption is chosen when a cluster is created: pgark init --encrypt, under a new name"],
          paint,
        )
      : section("encrypted to", result.recipients, paint)) +
    section("keys", kept, paint) +
    section("postgresql.conf", configurationLines(outcome.archiveCommand), paint) +
    section(
      "then",
      ["restart PostgreSQL if archive_mode or wal_level changed, and take the first backup: pgark backup"],
      paint,
    )
  );
}

/** The four settings that archiving needs. */
export function configurationLines(archiveCommand: string): readonly string[] {
  return [
    "wal_level = replica",
    "archive_mode = on",
    "archive_timeout = 1min",
    `archive_command = ${configurationQuote(archiveCommand)}`,
  ];
}
