import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { COMMANDS } from "../../src/cli/command-table.ts";
import { BACKGROUND_COMMANDS, COMMAND_NAMES } from "../../src/cli/command-names.ts";
import { configurationDoc } from "../../src/cli/configuration-doc.ts";
import { environmentName, optionsOf, OPTION_NAMES, optionSpec } from "../../src/cli/options.ts";
import { parseCommandLine } from "../../src/cli/parse-command-line.ts";
import { projectDirectory } from "../helpers/project.ts";

function printed(...argv: string[]): string {
  const line = parseCommandLine(argv, "1.2.3", 120);
  if (line.kind !== "print") throw new Error("nothing was printed");
  return line.text;
}

test("every name of a command is in the table, once and in order", () => {
  expect(COMMANDS.map((command) => command.name)).toEqual([...COMMAND_NAMES]);
});

test("pgark --help lists the commands, and --version says the version", () => {
  for (const { name, summary } of COMMANDS) {
    const line = new RegExp(`${name}.*${summary.replace(/[()]/g, "\\$&")}`);
    expect(line.test(printed("--help"))).toBe(!BACKGROUND_COMMANDS.includes(name));
  }
  expect(printed("--version")).toBe("1.2.3\n");
});

const shown = COMMANDS.filter(({ name }) => !BACKGROUND_COMMANDS.includes(name));

describe.each(shown.map((command) => ({ ...command })))("pgark $name --help", (command) => {
  const help = printed(command.name, "--help");

  test("shows its options with their environment variables", () => {
    for (const name of optionsOf(command.name)) {
      expect(help).toContain(`--${name}`);
      expect(help).toContain(environmentName(name) ?? "");
    }
  });

  test("shows examples that begin with the program or with the setting they belong to", () => {
    expect(command.examples.length).toBeGreaterThan(0);
    for (const { command: line } of command.examples) {
      expect(help).toContain(line);
      expect(line).toContain(`pgark ${command.name}`);
    }
  });

  test("explains every exit code once", () => {
    const codes = command.exitCodes.map(({ code }) => code);
    expect(new Set(codes).size).toBe(codes.length);
    for (const { code, meaning } of command.exitCodes)
      expect(help).toContain(`${String(code).padStart(3)}  ${meaning}`);
  });

  test.each(
    command.examples.filter((example) => example.command.startsWith("pgark ")).map((example) => example.command),
  )("has an example that pgark itself understands: %s", (line) => {
    const words = (line.split(" | ")[0] ?? "").match(/"[^"]*"|\S+/g) ?? [];
    const argv = words.slice(1).map((word) => word.replaceAll('"', ""));
    const parsed = parseCommandLine(argv, "0", undefined);
    if (parsed.kind !== "run") throw new Error("not a command to run");
    const valued = [...parsed.flags].filter(([, texts]) => texts.length > 0);
    expect(() => valued.map(([name, texts]) => optionSpec(name).type.fromText(texts))).not.toThrow();
  });
});

describe("a command line that cannot be understood", () => {
  test.each([
    [["wal-fech", "a", "b"], "did you mean wal-fetch"],
    [["list", "--jsno"], "did you mean --json"],
    [["--config", "/x", "list"], "options come after the command"],
    [["show"], '"pgark show --help"'],
    [["show", "a", "b"], '"pgark show --help"'],
    [["backup", "--jobs"], '"pgark backup --help"'],
    [[], "the commands are"],
  ])("%j says what to do", (argv, hint) => {
    expect(() => parseCommandLine(argv, "0", undefined)).toThrow(
      expect.objectContaining({ code: "usage", hint: expect.stringContaining(hint) as string }),
    );
  });
});

test("docs/configuration.md is what the table of options says (node scripts/write-docs.mjs)", async () => {
  expect(await readFile(join(projectDirectory, "docs/configuration.md"), "utf8")).toBe(configurationDoc());
});

test("docs/configuration.md knows every option", () => {
  for (const name of OPTION_NAMES) expect(configurationDoc()).toContain(`--${name}`);
});
