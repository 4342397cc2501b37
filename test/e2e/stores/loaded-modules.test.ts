import { readFile, readdir, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { expect, test } from "vitest";
import { projectDirectory } from "../../helpers/project.ts";
import { describeWith } from "../../helpers/requirements.ts";
import { temporaryDirectory } from "../../helpers/temp.ts";
import { realStores } from "./real-stores.ts";
import { createStoredCluster } from "./stored-cluster.ts";

/** Writes down, when a process ends, every file that it has loaded as a module. */
const recorder = `
const { appendFileSync } = require("node:fs");
process.on("exit", () => appendFileSync(process.env.TEST_LOADED_MODULES, Object.keys(require.cache).join("\\n") + "\\n"));
`;

for (const { name, driver, requirements, start } of realStores) {
  describeWith(requirements, `with a repository in ${name}`, () => {
    test(`of all drivers only ${driver} is ever loaded, and no SDK beside it`, async () => {
      const { path } = await temporaryDirectory();
      await writeFile(join(path, "recorder.cjs"), recorder);
      const { cluster, run } = await createStoredCluster(await start());
      await cluster.start();
      const loadedBy = async (...args: readonly string[]): Promise<readonly string[]> => {
        const file = join(path, args[0] ?? "");
        const env = { NODE_OPTIONS: `--require=${join(path, "recorder.cjs")}`, TEST_LOADED_MODULES: file };
        expect(await run(args, env)).toMatchObject({ exitCode: 0 });
        return (await readFile(file, "utf8")).trim().split("\n");
      };
      for (const args of [["backup", "--fast"], ["list"], ["check"]] as const) {
        const loaded = await loadedBy(...args);
        expect(
          loaded.map((file) => basename(file)),
          args[0],
        ).toContain("pgark.cjs");
        const drivers = loaded.filter((file) => basename(file).startsWith("driver-"));
        expect(new Set(drivers.map((file) => basename(file))), args[0]).toEqual(new Set([`${driver}.cjs`]));
        expect(loaded.filter((file) => /@aws-sdk|@smithy|@azure|@google-cloud|googleapis/.test(file))).toEqual([]);
      }
    }, 120_000);
  });
}

test("what is always loaded holds nothing of any cloud's SDK", async () => {
  const dist = join(projectDirectory, "dist");
  const traces = /x-amz-|x-ms-blob|x-goog-/;
  const holders: string[] = [];
  for (const file of await readdir(dist)) {
    if (file.endsWith(".cjs") && traces.test(await readFile(join(dist, file), "utf8"))) holders.push(file);
  }
  expect(holders.toSorted()).toEqual(["driver-azure.cjs", "driver-gcs.cjs", "driver-s3.cjs"]);
});
