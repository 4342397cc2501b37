import { PgarkError } from "../../errors.ts";
import { loadPinsOf } from "../../repository/pins.ts";
import { backupText } from "../backup-text.ts";
import { loadLives } from "../choose-life.ts";
import type { CommandRun } from "../command.ts";
import { EXIT } from "../exit-codes.ts";
import { backupJson } from "../json-shapes.ts";
import { nearest } from "../nearest.ts";
import { section } from "../plan-text.ts";
import { pinJson } from "../prune-json.ts";
import { pinText } from "../retention-text.ts";
import { withRepository } from "../with-repository.ts";

/** `pgark show <label>`: one backup. */
export async function main(run: CommandRun): Promise<number> {
  const [label = ""] = run.args;
  const { backup, pins } = await withRepository(run, { keys: "all" }, async (repository) => {
    const backups = (await loadLives(run, repository)).flatMap((catalog) => catalog.backups);
    const found = backups.find((one) => one.label === label);
    if (found !== undefined) {
      return { backup: found, pins: await loadPinsOf(repository, found.identity, label, { signal: run.io.signal }) };
    }
    const guess = nearest(
      label,
      backups.map((one) => one.label),
    );
    throw new PgarkError("not-found", "there is no complete backup of this name", {
      operation: "show",
      object: label,
      hint:
        guess === undefined ? "pgark list shows the backups there are" : `did you mean ${guess}? pgark list shows all`,
    });
  });
  await run.print({
    json: () => ({ backup: backupJson(backup), pins: pins.map(pinJson) }),
    text: () => backupText(backup, run.paint) + section("kept", pins.map(pinText), run.paint),
  });
  return EXIT.ok;
}
