import { BACKGROUND_COMMANDS } from "./command-names.ts";
import { configSearchPath } from "./config-file.ts";
import { defaultTextOf, flagsOf } from "./help.ts";
import { environmentName, fileOptionNames, OPTION_NAMES, optionSpec } from "./options.ts";
import type { OptionName } from "./options.ts";

/** The text of docs/configuration.md, made from the table of options. `scripts/write-docs.mjs` writes it. */
export function configurationDoc(): string {
  const everywhere = OPTION_NAMES.filter((name) => !optionSpec(name).flagOnly);
  const once = OPTION_NAMES.filter((name) => optionSpec(name).flagOnly);
  return `# Configuration

<!-- Made from src/cli/option-table/ by scripts/write-docs.mjs; a test says when it is out of date. Do not edit. -->

Every setting has one name in three spellings: the flag \`--identity-file\`, the environment variable
\`PGARK_IDENTITY_FILE\` and the key \`identity-file\` in \`pgark.yaml\`. A flag goes before the environment, the environment
before the file. An environment variable that is set to nothing counts as not set.

## pgark.yaml

The file is the one that \`--config\` or \`PGARK_CONFIG\` names, which must exist, else the first of these that exists:

${configSearchPath({ env: {}, homeDirectory: "~" })
  .map((path, index) => `${index + 1}. \`${path}\`${index === 1 ? " (or below `$XDG_CONFIG_HOME`)" : ""}`)
  .join("\n")}

It is never looked for in the working directory: PostgreSQL runs \`wal-push\` and \`wal-fetch\` in its data directory, and a
file in there must not decide where WAL goes. A file that exists but cannot be read is an error, and so is a key that pgark
does not know. Relative paths in it are relative to the file.

\`\`\`yaml
repository: file:///srv/pgark
cluster: main
recipients:
  - age1...
jobs: 4
rate: 200MB/s
wal-timeout: 10min
\`\`\`

Keys: ${fileOptionNames()
    .map((name) => `\`${name}\``)
    .join(", ")}.

## Values

- Sizes and rates: \`64MB\`, \`200MB/s\`. Units are PostgreSQL's: 1 kB is 1024 bytes (\`KiB\`, \`MiB\` mean the same).
- Durations: \`500ms\`, \`30s\`, \`10min\`, \`1h 30min\`. A number without a unit is refused.
- Lists: a YAML list, or commas in flags and environment.
- On and off: \`on\`, \`true\`, \`yes\`, \`1\` and \`off\`, \`false\`, \`no\`, \`0\`.

PostgreSQL is found as by any libpq program: \`PGHOST\`, \`PGPORT\`, \`PGUSER\`, \`PGSERVICE\`, \`~/.pgpass\` and so on.
\`NO_COLOR\` turns colours off. \`PGARK_NODE\` names the Node.js that \`bin/pgark\` uses.

## Settings

${table(everywhere, true)}

## Flags of one run

These can neither be set in the environment nor in \`pgark.yaml\`.

${table(once, false)}
`;
}

function table(names: readonly OptionName[], withEnvironment: boolean): string {
  const head = withEnvironment
    ? "| flag | environment | meaning | default | commands |"
    : "| flag | meaning | default | commands |";
  const line = withEnvironment ? "|---|---|---|---|---|" : "|---|---|---|---|";
  const rows = names.map((name) => {
    const { commands, description, type } = optionSpec(name);
    const cells = [
      `\`${flagsOf(name)}\``,
      ...(withEnvironment ? [`\`${environmentName(name)}\``] : []),
      saysItself(type) ? description : `${description} (${type.name})`,
      defaultTextOf(name) ?? (type.placeholder === undefined ? "off" : ""),
      commands === "all" ? "all" : commands.filter((command) => !BACKGROUND_COMMANDS.includes(command)).join(", "),
    ];
    return `| ${cells.map(tableCell).join(" | ")} |`;
  });
  return [head, line, ...rows].join("\n");
}

/** Whether the placeholder of the flag tells the type already. */
function saysItself({
  name,
  placeholder,
}: {
  readonly name: string;
  readonly placeholder: string | undefined;
}): boolean {
  return placeholder === undefined || name.toLowerCase().replaceAll(" ", "") === placeholder;
}

/** In code a "<" is itself; elsewhere it would begin a tag. */
function tableCell(text: string): string {
  const escaped = text.startsWith("`") ? text : text.replaceAll("<", "&lt;");
  return escaped.replaceAll("|", "\\|");
}
