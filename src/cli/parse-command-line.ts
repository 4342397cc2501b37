import { Command, CommanderError, Option } from "commander";
import { PgarkError } from "../errors.ts";
import { BACKGROUND_COMMANDS } from "./command-names.ts";
import { COMMANDS } from "./command-table.ts";
import type { CommandSpec } from "./command-spec.ts";
import { flagsOf, helpTail, optionHelp, PROGRAM_DESCRIPTION, PROGRAM_TAIL } from "./help.ts";
import { optionSpec, optionsOf } from "./options.ts";
import type { OptionName } from "./options.ts";
import type { Flags } from "./settings.ts";

export type CommandLine =
  | { readonly kind: "run"; readonly command: CommandSpec; readonly args: readonly string[]; readonly flags: Flags }
  /** help or version was asked for */
  | { readonly kind: "print"; readonly text: string };

/** Takes a command line apart. Throws `usage` for what cannot be understood, with the text of the help where nothing was said. */
export function parseCommandLine(argv: readonly string[], version: string, columns: number | undefined): CommandLine {
  let printed = "";
  let parsed: CommandLine | undefined;
  const program = new Command("pgark")
    .description(PROGRAM_DESCRIPTION)
    .version(version, "-V, --version", "print the version")
    .helpOption("-h, --help", "print this help")
    .helpCommand(false)
    .showHelpAfterError(false)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => void (printed += text),
      // What is wrong comes as an exception too, and is printed from there.
      writeErr: () => undefined,
      getOutHelpWidth: () => Math.min(columns ?? 100, 120),
    })
    .addHelpText("after", PROGRAM_TAIL);
  for (const spec of COMMANDS) declare(program, spec, (line) => void (parsed = line));
  try {
    program.parse(argv, { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.code === "commander.helpDisplayed" || error.code === "commander.version")
      return { kind: "print", text: printed };
    throw usageError(error, argv);
  }
  if (parsed === undefined) throw nothingSaid();
  return parsed;
}

function declare(program: Command, spec: CommandSpec, found: (line: CommandLine) => void): void {
  const names = optionsOf(spec.name);
  const command = program
    .command(spec.name, { hidden: BACKGROUND_COMMANDS.includes(spec.name) })
    .summary(spec.summary)
    .description(spec.description)
    .usage([...spec.args.map(argumentText), "[options]"].join(" "))
    .addHelpText("after", helpTail(spec));
  for (const arg of spec.args) command.argument(argumentText(arg), arg.description);
  const given = new Map<OptionName, string[]>();
  for (const name of names) {
    command.addOption(new Option(flagsOf(name), optionHelp(name)));
    // Heard from the parser's events: "--no-progress" would otherwise be taken for the negation of an option "progress".
    command.on(`option:${name}`, (value: string | null) => {
      const texts = typeof value === "string" ? [value] : [];
      given.set(name, optionSpec(name).type.repeatable ? [...(given.get(name) ?? []), ...texts] : texts);
    });
  }
  command.action(() => found({ kind: "run", command: spec, args: command.args, flags: given }));
}

function argumentText({ name, optional }: CommandSpec["args"][number]): string {
  return optional === true ? `[${name}]` : `<${name}>`;
}

function usageError(error: CommanderError, argv: readonly string[]): PgarkError {
  if (error.code === "commander.help") return nothingSaid();
  const [problem = "", ...rest] = error.message.replace(/^error: /, "").split("\n");
  const suggestion = /\(Did you mean (.*)\?\)/.exec(rest.join(" "))?.[1];
  const command = COMMANDS.find((spec) => spec.name === argv[0])?.name;
  const help = command === undefined ? "pgark --help" : `pgark ${command} --help`;
  const early = command === undefined && argv[0]?.startsWith("-");
  return new PgarkError("usage", problem.replaceAll("'", '"'), {
    operation: "read command line",
    hint:
      suggestion !== undefined
        ? `did you mean ${suggestion}? "${help}" tells more`
        : early
          ? `options come after the command: pgark backup --jobs 2; "${help}" tells more`
          : `"${help}" tells more`,
  });
}

function nothingSaid(): PgarkError {
  return new PgarkError("usage", "no command was given", {
    operation: "read command line",
    hint: `the commands are ${COMMANDS.map((spec) => spec.name)
      .filter((name) => !BACKGROUND_COMMANDS.includes(name))
      .join(", ")}; "pgark --help" tells more`,
  });
}
