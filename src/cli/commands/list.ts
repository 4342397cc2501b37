import { formatBytes, formatDuration, plural } from "../../format.ts";
import { formatIdentity } from "../../postgres/cluster-identity.ts";
import type { Catalog } from "../../repository/catalog.ts";
import { recoveryWindow } from "../../restore/recovery-window.ts";
import { loadLives } from "../choose-life.ts";
import type { CommandRun } from "../command.ts";
import { EXIT } from "../exit-codes.ts";
import { formatMoment } from "../format.ts";
import { catalogJson } from "../json-shapes.ts";
import { section, windowLines } from "../plan-text.ts";
import { formatTable } from "../table.ts";
import { withRepository } from "../with-repository.ts";

/** `pgark list`: the backups and the moments that can be restored. */
export async function main(run: CommandRun): Promise<number> {
  const { cluster, encrypted, lives } = await withRepository(run, { keys: "all" }, async (repository) => ({
    cluster: repository.cluster,
    encrypted: repository.encrypted,
    lives: await loadLives(run, repository),
  }));
  await run.print({
    json: () => ({ cluster, encrypted, lives: lives.map((catalog) => catalogJson(catalog, recoveryWindow(catalog))) }),
    text: () => {
      if (lives.length === 0) return `cluster ${cluster} has no life yet: run pgark init\n`;
      return lives.map((catalog) => lifeText(catalog, run)).join("\n");
    },
  });
  return EXIT.ok;
}

function lifeText(catalog: Catalog, run: CommandRun): string {
  const { paint } = run;
  const title = `${paint("bold", formatIdentity(catalog.identity))}: ${plural(catalog.backups.length, "backup")}\n`;
  const window = section("can be restored", windowLines(recoveryWindow(catalog)), paint);
  if (catalog.backups.length === 0) return `${title}  take one with pgark backup\n${window}`;
  const table = formatTable(
    [
      { title: "label" },
      { title: "ended" },
      { title: "took", align: "right" },
      { title: "timeline", align: "right" },
      { title: "copied", align: "right" },
      { title: "stored", align: "right" },
      { title: "remarks" },
    ],
    catalog.backups.map((backup) => [
      backup.label,
      formatMoment(backup.stopTime),
      formatDuration(backup.stopTime.getTime() - backup.startTime.getTime()),
      String(backup.timeline),
      formatBytes(backup.bytes),
      formatBytes(backup.storedBytes),
      backup.badPages === 0 ? "" : paint("red", plural(backup.badPages, "bad page")),
    ]),
    paint,
  );
  return `${title}${table}${window}`;
}
