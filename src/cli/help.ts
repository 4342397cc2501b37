import type { CommandSpec } from "./command-spec.ts";
import { environmentName, optionSpec } from "./options.ts";
import type { OptionName } from "./options.ts";

/** The flag of an option as commander writes it: `-d, --dbname <text>`. */
export function flagsOf(name: OptionName): string {
  const { short, type } = optionSpec(name);
  return `${short === undefined ? "" : `-${short}, `}--${name}${type.placeholder === undefined ? "" : ` <${type.placeholder}>`}`;
}

/** What `--help` says of an option: its description, default and environment variable. */
export function optionHelp(name: OptionName): string {
  const fallback = defaultTextOf(name);
  const variable = environmentName(name);
  const notes = [fallback === undefined ? undefined : `default: ${fallback}`, variable].filter(
    (note) => note !== undefined,
  );
  return `${optionSpec(name).description}${notes.length === 0 ? "" : ` [${notes.join("; ")}]`}`;
}

/** The default for people; undefined for none, and for flags that are simply off. */
export function defaultTextOf(name: OptionName): string | undefined {
  const spec = optionSpec(name);
  if (spec.defaultText !== undefined) return spec.defaultText;
  const plain = typeof spec.default === "string" || typeof spec.default === "number" || spec.default === true;
  return plain ? String(spec.default) : undefined;
}

/** What follows the options in the help of a command. */
export function helpTail(command: CommandSpec): string {
  const examples = command.examples.map(({ text, command: line }) => `  # ${text}\n  ${line}`);
  const codes = command.exitCodes.map(({ code, meaning }) => `  ${String(code).padStart(3)}  ${meaning}`);
  const { section } = command;
  const more = section === undefined ? "" : `\n${section.title}:\n${section.text()}`;
  return `\nExamples:\n${examples.join("\n\n")}\n${more}\nExit codes:\n${codes.join("\n")}\n`;
}

export const PROGRAM_DESCRIPTION =
  "pgark takes PostgreSQL's WAL and base backups to a repository and brings a cluster back from there, to any moment.";

export const PROGRAM_TAIL = `
Settings come from flags, else from the environment (--identity-file is PGARK_IDENTITY_FILE), else from pgark.yaml
(identity-file:), which is looked for in /etc/pgark and in the user's configuration directory.

Examples:
  pgark init --repository file:///srv/pgark --cluster main --pgdata /var/lib/postgresql/17/main
  pgark backup
  pgark plan --to "2026-11-20 10:00:00+01"
  pgark restore /srv/clone --to "2026-11-20 10:00:00+01"

Each command has its own help with examples and exit codes: pgark restore --help
`;
