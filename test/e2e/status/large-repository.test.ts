import { join } from "node:path";
import { beforeAll, describe, expect, test, vi } from "vitest";
import { largeCluster, largeShape, makeLargeRepository } from "../../../bench/large-repository.ts";
import type { LargeShape } from "../../../bench/large-repository.ts";
import { measure } from "../../../bench/measure.ts";
import { runPgark } from "../../helpers/pgark.ts";
import { plainEnvironment, projectDirectory } from "../../helpers/project.ts";
import { temporaryDirectory } from "../../helpers/temp.ts";

// PGARK_TEST_BACKUPS=10000 PGARK_TEST_SEGMENTS=2000000 make it what the promise is about; that takes minutes to write.
const backups = Number(process.env["PGARK_TEST_BACKUPS"] ?? 200);
const segments = Number(process.env["PGARK_TEST_SEGMENTS"] ?? 8000);

vi.setConfig({ testTimeout: 300_000, hookTimeout: 600_000 });

const shape: LargeShape = { ...largeShape, backups, segments, holes: 0, end: new Date() };

describe.each([
  { kind: "all of its WAL", whole: Number.POSITIVE_INFINITY, timelines: 3 },
  { kind: "WAL between old backups deleted, as prune leaves it", whole: Math.floor(segments / 4), timelines: 1 },
])("a long history with $kind", ({ whole, timelines }) => {
  let directory: string;
  let env: Record<string, string>;

  beforeAll(async () => {
    ({ path: directory } = await temporaryDirectory("pgark-large"));
    await makeLargeRepository(directory, { ...shape, whole, timelines });
    env = { PGARK_REPOSITORY: `file://${directory}`, PGARK_CLUSTER: largeCluster };
  });

  /** What a command answers, and that it stays within the memory that is promised for a history of any length. */
  async function answerOf(...args: readonly string[]): Promise<Record<string, unknown>> {
    const program = join(projectDirectory, "bin/pgark");
    const all = { PGARK_NODE: process.execPath, ...env };
    const cost = await measure({ program, args, env: plainEnvironment(all), logDirectory: directory });
    expect(cost.largest, args.join(" ")).toBeLessThan(200e6);
    const { stdout, stderr, exitCode } = await runPgark([...args, "--json"], { env: all });
    expect(exitCode, stderr).toBe(0);
    return JSON.parse(stdout) as Record<string, unknown>;
  }

  /** half of what is whole in either: two segments come in a minute */
  const policy = ["--keep-within", `${Math.floor(segments / 4 / 2 / 2)}min`, "--keep-last", "3"];

  test("status tells of every backup and of the newest stretch, and has nothing to say against it", async () => {
    const status = await answerOf("status", "--store-only", ...policy);
    expect(status).toMatchObject({ findings: [], lives: [{ backups, holes: [], retention: { refused: null } }] });
    const [life] = status["lives"] as readonly { readonly walSegments: number }[];
    expect(life?.walSegments).toBeGreaterThanOrEqual(Math.min(whole, segments));
    expect(life?.walSegments).toBeLessThanOrEqual(Math.min(whole + backups, segments));
  });

  test("plan finds the last backup", async () => {
    const plan = await answerOf("plan");
    expect(plan).toMatchObject({ kind: "plan", timeline: timelines });
    expect(plan["segments"]).toBeLessThan(3 + (2 * segments) / backups);
  });

  test("prune has a verdict for every backup", async () => {
    const { lives } = (await answerOf("prune", ...policy)) as {
      lives: readonly { readonly backups: readonly unknown[] }[];
    };
    expect(lives[0]?.backups).toHaveLength(backups);
  });
});
