import { cp, mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { configurationLines } from "../../src/cli/init-text.ts";
import type { Io } from "../../src/cli/io.ts";
import { parseCommandLine } from "../../src/cli/parse-command-line.ts";
import { resolveSettings } from "../../src/cli/settings.ts";
import type { Settings } from "../../src/cli/settings.ts";
import { archiveCommand, programPath, restoreCommand } from "../../src/cli/wal-commands.ts";
import { projectDirectory } from "../helpers/project.ts";
import { temporaryDirectory } from "../helpers/temp.ts";
import { testIo } from "./test-io.ts";

const io = testIo();

async function settingsOf(argv: readonly string[], env: Io["env"] = {}): Promise<Settings> {
  const line = parseCommandLine(argv, "0", undefined);
  if (line.kind !== "run") throw new Error("not a command to run");
  return resolveSettings(line.command.name, line.flags, testIo({ env }));
}

describe("restore_command", () => {
  test("finds the repository again without the environment that restore was run in", async () => {
    const settings = await settingsOf(["restore", "/x", "--identity-file", "/keys/main key"], {
      PGARK_REPOSITORY: "file:///srv/pgark",
      PGARK_CLUSTER: "main",
      PGARK_RECIPIENTS: "age1x",
    });
    expect(restoreCommand(settings, io, { partial: false })).toBe(
      `/opt/pgark/bin/pgark wal-fetch %f "%p" --repository file:///srv/pgark --cluster main --identity-file '/keys/main key'`,
    );
    expect(restoreCommand(settings, io, { partial: true })).toMatch(/ --partial$/);
  });

  test("is a command line that wal-fetch understands", async () => {
    await using directory = await temporaryDirectory();
    const config = join(directory.path, "pgark.yaml");
    await writeFile(config, "repository: file:///srv/100%\ncluster: main\nidentity-file: main.age\n");
    const settings = await settingsOf(["restore", "/x", "--config", config]);
    const command = restoreCommand(settings, io, { partial: true }).replaceAll("%%", "%").replaceAll('"', "");
    const again = await settingsOf(command.split(" ").slice(1));
    expect(again.values).toMatchObject({
      repository: "file:///srv/100%",
      cluster: "main",
      "identity-file": join(directory.path, "main.age"),
      partial: true,
    });
    expect(again.configFile).toBe(config);
  });
});

test("archive_command pins recipients that are nowhere else, and leaves those of pgark.yaml there", async () => {
  await using directory = await temporaryDirectory();
  const config = join(directory.path, "pgark.yaml");
  await writeFile(config, "repository: file:///r\ncluster: main\nrecipients: [age1x]\n");
  expect(archiveCommand(await settingsOf(["init", "--config", config]), io)).not.toContain("age1x");
  expect(archiveCommand(await settingsOf(["init", "--cluster=main", "--recipients=age1x,age1y"]), io)).toBe(
    `/opt/pgark/bin/pgark wal-push "%p" --cluster main --recipients age1x,age1y`,
  );
});

test("the lines for postgresql.conf are four, with the command quoted for that file", () => {
  expect(configurationLines(`'/a b' wal-push "%p"`)).toEqual([
    "wal_level = replica",
    "archive_mode = on",
    "archive_timeout = 1min",
    `archive_command = '''/a b'' wal-push "%p"'`,
  ]);
});

test("the program is named as it was called when that leads to this install, else as it is installed", async () => {
  await using directory = await temporaryDirectory();
  const install = join(directory.path, "pgark");
  await mkdir(join(install, "bin"), { recursive: true });
  await cp(join(projectDirectory, "bin/pgark"), join(install, "bin/pgark"));
  await symlink(join(install, "bin/pgark"), join(directory.path, "link"));
  const called = (program: string | undefined): string => programPath({ install, env: { PGARK_PROGRAM: program } });
  expect(called(join(directory.path, "link"))).toBe(join(directory.path, "link"));
  for (const other of [undefined, "pgark", "/bin/sh", "/nowhere"])
    expect(called(other)).toBe(join(install, "bin/pgark"));
});
