import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { environmentName, OPTION_NAMES, OPTIONS, optionSpec, optionsOf } from "../../src/cli/options.ts";
import type { OptionName } from "../../src/cli/options.ts";
import { ValueError } from "../../src/cli/parse-values.ts";
import { parseCommandLine } from "../../src/cli/parse-command-line.ts";
import {
  hostKeyPath,
  mainRepository,
  quorumOf,
  repositoriesOf,
  required,
  resolveSettings,
} from "../../src/cli/settings.ts";
import type { Settings } from "../../src/cli/settings.ts";
import { temporaryDirectory } from "../helpers/temp.ts";
import { testIo } from "./test-io.ts";

async function settingsOf(
  argv: readonly string[],
  env: Readonly<Record<string, string>> = {},
  cwd = "/nowhere",
): Promise<Settings> {
  const line = parseCommandLine(argv, "0", undefined);
  if (line.kind !== "run") throw new Error("not a command to run");
  return resolveSettings(line.command.name, line.flags, testIo({ env, cwd }));
}

describe("precedence", () => {
  test("flags go before the environment, the environment before pgark.yaml, pgark.yaml before the default", async () => {
    await using directory = await temporaryDirectory();
    const config = join(directory.path, "pgark.yaml");
    await writeFile(config, "compress-level: 3\ncluster: from-file\n");
    const env = { PGARK_CONFIG: config };
    const level = async (argv: readonly string[], more: Readonly<Record<string, string>> = {}): Promise<number> =>
      (await settingsOf(["backup", ...argv], { ...env, ...more })).values["compress-level"];
    expect((await settingsOf(["backup"])).values["compress-level"]).toBe(1);
    expect(await level([])).toBe(3);
    expect(await level([], { PGARK_COMPRESS_LEVEL: "5" })).toBe(5);
    expect(await level(["--compress-level", "7"], { PGARK_COMPRESS_LEVEL: "5" })).toBe(7);
    const settings = await settingsOf(["backup"], env);
    expect(settings.values.cluster).toBe("from-file");
    expect(settings.origins.get("cluster")).toBe("file");
    expect(settings.configFile).toBe(config);
  });

  test("a variable that is set to nothing counts as not set", async () => {
    expect((await settingsOf(["backup"], { PGARK_COMPRESS_LEVEL: "" })).values["compress-level"]).toBe(1);
  });

  test("variables that are no option are none of our business: Kubernetes sets PGARK_PORT for a service named pgark", async () => {
    await expect(
      settingsOf(["backup"], { PGARK_PORT: "tcp://10.0.0.1:80", PGARK_SERVICE_HOST: "x" }),
    ).resolves.toBeDefined();
  });

  test("an option of one run cannot come from the environment", async () => {
    expect((await settingsOf(["restore", "/x"], { PGARK_DRY_RUN: "on", PGARK_ARCHIVING: "on" })).values).toMatchObject({
      "dry-run": false,
      archiving: "off",
    });
  });

  test("an option of another command is neither read nor checked", async () => {
    expect((await settingsOf(["list"], { PGARK_JOBS: "many" })).values.jobs).toBeUndefined();
  });
});

describe("flags", () => {
  test("--no-progress is an option of its own, off unless given", async () => {
    expect((await settingsOf(["backup"])).values["no-progress"]).toBe(false);
    expect((await settingsOf(["backup", "--no-progress"])).values["no-progress"]).toBe(true);
    expect((await settingsOf(["backup"], { PGARK_NO_PROGRESS: "yes" })).values["no-progress"]).toBe(true);
  });

  test("lists and mappings may be repeated", async () => {
    const { values } = await settingsOf([
      "restore",
      "/x",
      "--tablespace",
      "/a=/b",
      "--tablespace=16384=/c",
      "--recipients",
      "k1,k2",
      "--recipients",
      "k3",
    ]);
    expect([...(values.tablespace ?? [])]).toEqual([
      ["/a", "/b"],
      ["16384", "/c"],
    ]);
    expect(values.recipients).toEqual(["k1", "k2", "k3"]);
    await expect(settingsOf(["restore", "/x", "--tablespace", "/a=/b", "--tablespace", "/a=/c"])).rejects.toThrow(
      "mapped twice",
    );
  });

  test("paths are relative to where pgark was called", async () => {
    expect((await settingsOf(["backup", "-D", "data"], {}, "/srv")).values.pgdata).toBe("/srv/data");
  });

  test("a wrong value names the spelling that was used", async () => {
    await expect(settingsOf(["backup", "--jobs", "0"])).rejects.toMatchObject({ code: "usage", object: "--jobs" });
    await expect(settingsOf(["backup"], { PGARK_JOBS: "x" })).rejects.toMatchObject({
      code: "usage",
      object: "PGARK_JOBS",
    });
  });

  test("a missing setting is asked for in all three spellings", async () => {
    const settings = await settingsOf(["list"]);
    expect(() => required(settings, "repository")).toThrow(
      expect.objectContaining({
        hint: "give it as --repository, PGARK_REPOSITORY in the environment, or repository: in pgark.yaml",
      }),
    );
  });
});

test("the host key lies beside the configuration, named for its cluster", async () => {
  await using directory = await temporaryDirectory();
  const config = join(directory.path, "pgark.yaml");
  await writeFile(config, "cluster: main");
  expect(hostKeyPath(await settingsOf(["backup", "--config", config]), "main")).toBe(
    join(directory.path, "main.host-key"),
  );
  expect(hostKeyPath(await settingsOf(["backup", "--host-key-file", "/k"]), "main")).toBe("/k");
});

describe("one repository or several", () => {
  /** What a run would archive to, with these lines in pgark.yaml. */
  async function repositories(
    yaml: string,
    argv: readonly string[] = [],
    env: Readonly<Record<string, string>> = {},
  ): Promise<Settings> {
    await using directory = await temporaryDirectory();
    const config = join(directory.path, "pgark.yaml");
    await writeFile(config, yaml);
    return await settingsOf(["wal-push", "x", ...argv], { ...env, PGARK_CONFIG: config });
  }
  const flag = (name: string, value: string): readonly string[] => [`--${name}`, value];

  const cases: readonly [yaml: string, argv: readonly string[], env: Record<string, string>, all: readonly string[]][] =
    [
      ["repository: /a", [], {}, ["/a"]],
      ["repositories: [/a, /b]", [], {}, ["/a", "/b"]],
      ["repositories: /a, /b", [], {}, ["/a", "/b"]],
      ["repositories: [/a, /b]", flag("repository", "/c"), {}, ["/c"]],
      ["repositories: [/a, /b]", [], { PGARK_REPOSITORY: "/c" }, ["/c"]],
      ["repository: /a", [], { PGARK_REPOSITORIES: "/b,/c" }, ["/b", "/c"]],
      ["", flag("repositories", "/b,/c"), { PGARK_REPOSITORY: "/a" }, ["/b", "/c"]],
      ["", flag("repository", "/a"), { PGARK_REPOSITORIES: "/b,/c" }, ["/a"]],
      ["repositories: [/a, /b]", [...flag("repositories", "/c"), ...flag("repositories", "/d")], {}, ["/c", "/d"]],
    ];
  test.each(cases)("%j, flags %j, environment %j: %j", async (yaml, argv, env, all) => {
    const settings = await repositories(yaml, argv, env);
    expect(repositoriesOf(settings)).toEqual(all);
    expect(mainRepository(settings)).toBe(all[0]);
    expect(quorumOf(settings)).toBe(all.length);
  });

  test("both said in the same place is a question that pgark does not answer", async () => {
    for (const settings of [
      await repositories("repository: /a\nrepositories: [/a, /b]"),
      await repositories("", [...flag("repository", "/a"), ...flag("repositories", "/a,/b")]),
      await repositories("", [], { PGARK_REPOSITORY: "/a", PGARK_REPOSITORIES: "/a,/b" }),
    ])
      expect(() => repositoriesOf(settings)).toThrow("both set");
  });

  test("none at all is refused, however it is written, for nothing can be archived there", async () => {
    await expect(repositories("repositories: []")).rejects.toMatchObject({ code: "usage" });
    await expect(repositories("", flag("repositories", ","))).rejects.toMatchObject({ code: "usage" });
    await expect(repositories("", [], { PGARK_REPOSITORIES: " , " })).rejects.toMatchObject({ code: "usage" });
    const settings = await repositories("cluster: main");
    expect(() => repositoriesOf(settings)).toThrow("repository is not set");
    expect(() => quorumOf(settings)).toThrow("repository is not set");
  });

  test("one that is named twice would count twice, and is refused", async () => {
    await expect(repositories("repositories: [/a, /b, /a]")).rejects.toMatchObject({ code: "usage" });
  });

  test("a quorum is what is said, and no more than there are", async () => {
    const yaml = "repositories: [/a, /b, /c]\nquorum: 2";
    expect(quorumOf(await repositories(yaml))).toBe(2);
    expect(quorumOf(await repositories(yaml, flag("quorum", "1")))).toBe(1);
    const settings = await repositories(yaml, flag("quorum", "4"));
    expect(() => quorumOf(settings)).toThrow("a quorum of 4 cannot be met by 3 repositories");
    const one = await repositories(yaml, flag("repository", "/a"));
    expect(() => quorumOf(one)).toThrow("a quorum of 2 cannot be met by one repository");
    await expect(repositories(yaml, flag("quorum", "0"))).rejects.toMatchObject({ code: "usage" });
  });
});

describe("the table of options", () => {
  test("every option has one name in all spellings", () => {
    expect(environmentName("identity-file")).toBe("PGARK_IDENTITY_FILE");
    for (const name of OPTION_NAMES) expect(name).toMatch(/^[a-z]+(-[a-z]+)*$/);
  });

  test("the defaults are values that the options themselves accept", () => {
    for (const name of OPTION_NAMES) {
      const { default: fallback, defaultText, type } = optionSpec(name);
      if (typeof fallback !== "string" && typeof fallback !== "number" && typeof fallback !== "boolean") continue;
      // Lengths of time and sizes are kept as numbers, and written with their units.
      const written = typeof fallback === "number" ? (defaultText ?? String(fallback)) : String(fallback);
      expect(type.fromText([written]), name).toBe(fallback);
    }
    const { listen } = OPTIONS;
    expect(listen.type.fromText([listen.defaultText])).toEqual(listen.default);
  });

  test("no text whatever makes an option do anything but accept it or refuse it as a value error", () => {
    const answer = (name: OptionName, text: string): string => {
      try {
        optionSpec(name).type.fromText([text]);
        return "accepted";
      } catch (error) {
        return error instanceof ValueError ? "refused" : String(error);
      }
    };
    const names = fc.constantFrom<OptionName>(...optionsOf("restore"), ...optionsOf("backup"));
    fc.assert(
      fc.property(names, fc.string(), (name, text) => {
        expect(["accepted", "refused"]).toContain(answer(name, text));
      }),
    );
  });
});
