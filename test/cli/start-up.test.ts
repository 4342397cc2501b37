import { readFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { COMMAND_NAMES } from "../../src/cli/command-names.ts";
import { projectDirectory } from "../helpers/project.ts";

const cli = join(projectDirectory, "src/cli");

/** The packages that a module pulls in when it is loaded: dynamic imports and types aside. */
async function packagesOf(entry: string): Promise<ReadonlySet<string>> {
  const packages = new Set<string>();
  const seen = new Set<string>();
  const left = [entry];
  for (let file = left.pop(); file !== undefined; file = left.pop()) {
    if (seen.has(file)) continue;
    seen.add(file);
    const source = await readFile(file, "utf8");
    for (const [, from = ""] of source.matchAll(/^(?:import|export) (?!type\b)[^;]*?from "([^"]+)";/gm)) {
      if (from.startsWith(".")) left.push(resolve(dirname(file), from));
      else if (!from.startsWith("node:")) packages.add(from);
    }
  }
  return packages;
}

const HEAVY = ["pg", "prom-client", "cli-progress", "pino", "yaml", "commander", "piscina", "tar"];

describe("start-up", () => {
  test("the first lines of the program load no package at all", async () => {
    expect([...(await packagesOf(join(cli, "main.ts")))]).toEqual([]);
  });

  test("before the command is known, only the reader of the command line is loaded", async () => {
    expect([...(await packagesOf(join(cli, "run.ts")))]).toEqual(["commander"]);
  });

  test.each(["wal-push", "wal-fetch"])(
    "%s loads nothing that talks to servers, terminals or threads",
    async (command) => {
      const loaded = await packagesOf(join(cli, "commands", `${command}.ts`));
      expect(HEAVY.filter((name) => loaded.has(name))).toEqual([]);
    },
  );

  test("the walk sees what is loaded", async () => {
    expect([...(await packagesOf(join(projectDirectory, "src/postgres/connection.ts")))]).toContain("pg");
  });

  test.each(COMMAND_NAMES)("%s is a module of its own", async (command) => {
    expect(await readFile(join(cli, "commands", `${command}.ts`), "utf8")).toContain("export async function main(");
  });
});
