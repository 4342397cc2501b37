/**
 * `npm run bench -- large [--rounds 3 --backups 10000 --segments 2000000]`: what looking at a long history costs, on a file
 * repository that is made for it: once with all of its WAL, and once as prune leaves it, with pieces of WAL between backups.
 */
import { arch, cpus } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { disposeEverything } from "../test/helpers/cleanup.ts";
import { plainEnvironment, projectDirectory } from "../test/helpers/project.ts";
import { temporaryDirectory } from "../test/helpers/temp.ts";
import { largeCluster, largeShape, makeLargeRepository } from "./large-repository.ts";
import { measure } from "./measure.ts";
import type { Cost } from "./measure.ts";
import { median } from "./report.ts";

/** What a policy leaves to do on either of them. */
const policy = ["--keep-within", "30d", "--keep-daily", "365"];

const commands: readonly (readonly string[])[] = [
  ["status", "--store-only"],
  ["status", "--store-only", ...policy],
  ["plan"],
  ["list"],
  ["prune", ...policy],
  ["metrics", "--store-only"],
];

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "3" },
    backups: { type: "string", default: String(largeShape.backups) },
    segments: { type: "string", default: String(largeShape.segments) },
  },
});
try {
  await bench(Number(values.rounds), Number(values.backups), Number(values.segments));
} finally {
  await disposeEverything();
}

async function bench(rounds: number, backups: number, segments: number): Promise<void> {
  console.log(`${cpus().length} processors (${arch()}); node ${process.version}; ${rounds} rounds, medians`);
  const shape = { ...largeShape, backups, segments, holes: 0, end: new Date() };
  const shapes = { "all of its WAL": shape, "as prune leaves it": { ...shape, whole: Math.floor(segments / 20) } };
  for (const [name, each] of Object.entries(shapes)) {
    await using directory = await temporaryDirectory("pgark-large");
    await makeLargeRepository(directory.path, each);
    console.log(`\n${backups} backups, ${segments} segments, ${name}:`);
    for (const args of commands) console.log(await report(directory.path, args, rounds));
  }
}

async function report(directory: string, args: readonly string[], rounds: number): Promise<string> {
  const costs: Cost[] = [];
  for (let round = 1; round <= rounds; round++) {
    costs.push(
      await measure({
        program: join(projectDirectory, "bin/pgark"),
        args: [...args],
        env: plainEnvironment({
          PGARK_NODE: process.execPath,
          PGARK_REPOSITORY: `file://${directory}`,
          PGARK_CLUSTER: largeCluster,
        }),
        logDirectory: directory,
      }),
    );
  }
  const middle = (value: (cost: Cost) => number): number => median(costs.map(value));
  const times = `${middle((cost) => cost.wall).toFixed(1)} s, ${middle((cost) => cost.cpu).toFixed(1)} s CPU`;
  return `${args.join(" ")}: ${times}, ${Math.round(middle((cost) => cost.largest) / 1e6)} MB`;
}
