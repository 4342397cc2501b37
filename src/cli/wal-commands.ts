import { realpathSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import type { Io } from "./io.ts";
import { repositoriesOf } from "./settings.ts";
import type { Settings } from "./settings.ts";
import { walCommand } from "./shell-quote.ts";

/** The archive_command that finds this run's repository again. */
export function archiveCommand(settings: Settings, io: Io): string {
  const { recipients } = settings.values;
  // Recipients are public keys; those from pgark.yaml are found there again.
  const pinned =
    settings.origins.get("recipients") === "file" || recipients === undefined
      ? []
      : ["--recipients", recipients.join(",")];
  return walCommand({ program: programPath(io), verb: "wal-push", flags: [...placeFlags(settings), ...pinned] });
}

/**
 * The restore_command that finds this run's repository again, whatever the environment of the restored server. It names the
 * file of the identity, never the identity.
 */
export function restoreCommand(settings: Settings, io: Io, options: { readonly partial: boolean }): string {
  const identityFile = settings.values["identity-file"];
  const flags = [
    ...placeFlags(settings),
    ...(identityFile === undefined ? [] : ["--identity-file", identityFile]),
    ...(options.partial ? ["--partial"] : []),
  ];
  return walCommand({ program: programPath(io), verb: "wal-fetch", flags });
}

/** Flags go before environment and file: with all of them said, nothing else can lead the server to another repository. */
function placeFlags(settings: Settings): readonly string[] {
  const { cluster, spool } = settings.values;
  const repositories =
    settings.values.repository === undefined && settings.values.repositories === undefined
      ? []
      : repositoriesOf(settings);
  return [
    ...(settings.configFile === undefined ? [] : ["--config", settings.configFile]),
    ...(repositories.length === 0
      ? []
      : repositories.length === 1
        ? ["--repository", ...repositories]
        : ["--repositories", repositories.join(",")]),
    ...(cluster === undefined ? [] : ["--cluster", cluster]),
    ...(spool === undefined ? [] : ["--spool", spool]),
  ];
}

/**
 * The absolute path of bin/pgark: as it was called when that leads here (a link in /usr/bin outlives an upgrade, the place it
 * points to may not), else where it is installed.
 */
export function programPath(io: Pick<Io, "env" | "install">): string {
  const installed = join(io.install, "bin", "pgark");
  const called = io.env["PGARK_PROGRAM"];
  if (called === undefined || !isAbsolute(called)) return installed;
  try {
    return realpathSync(called) === realpathSync(installed) ? called : installed;
  } catch {
    return installed;
  }
}
