import { dirname, join, resolve } from "node:path";
import { PgarkError } from "../errors.ts";
import type { CommandName } from "./command-names.ts";
import { configSearchPath, readConfigFile } from "./config-file.ts";
import type { ConfigFile } from "./config-file.ts";
import type { Io } from "./io.ts";
import { environmentName, OPTION_NAMES, optionSpec, optionsOf } from "./options.ts";
import type { OptionName, OptionValues } from "./options.ts";
import { ValueError } from "./parse-values.ts";

/** Flags as they were written: the texts given for each, an empty list for one that takes no value. */
export type Flags = ReadonlyMap<OptionName, readonly string[]>;

export type Origin = "flag" | "environment" | "file";

/** What a command runs with: every option's value, and where those that someone set came from. */
export interface Settings {
  readonly values: OptionValues;
  readonly origins: ReadonlyMap<OptionName, Origin>;
  /** the configuration file that was read, absolute */
  readonly configFile: string | undefined;
  /** where configuration is kept for this user: beside the file that was read, else where one would be looked for */
  readonly configDirectory: string | undefined;
}

/** Flags before environment before pgark.yaml before defaults. */
export async function resolveSettings(command: CommandName, flags: Flags, io: Io): Promise<Settings> {
  const named = fromFlagOrEnvironment("config", flags, io);
  const searchPath = configSearchPath(io);
  const file = await readConfigFile(named?.value as string | undefined, searchPath);
  const ownDirectory = io.userId === 0 ? searchPath[0] : searchPath.at(-1);
  const configured = file?.path ?? ownDirectory;
  return {
    ...combine(command, flags, file, io),
    configFile: file?.path,
    configDirectory: configured === undefined ? undefined : dirname(configured),
  };
}

function combine(
  command: CommandName,
  flags: Flags,
  file: ConfigFile | undefined,
  io: Io,
): Pick<Settings, "values" | "origins"> {
  const known = new Set(optionsOf(command));
  const values: Partial<Record<OptionName, unknown>> = {};
  const origins = new Map<OptionName, Origin>();
  for (const name of OPTION_NAMES) {
    values[name] = optionSpec(name).default;
    // An option that this command does not have may still be in the file or in the environment, for other commands.
    if (!known.has(name)) continue;
    const said =
      fromFlagOrEnvironment(name, flags, io) ??
      (file?.values.has(name) ? { value: file.values.get(name), origin: "file" as const } : undefined);
    if (said === undefined) continue;
    values[name] = said.value;
    origins.set(name, said.origin);
  }
  return { values: values as unknown as OptionValues, origins };
}

function fromFlagOrEnvironment(
  name: OptionName,
  flags: Flags,
  io: Io,
): { readonly value: unknown; readonly origin: Origin } | undefined {
  const flag = flags.get(name);
  if (flag !== undefined) {
    return { value: read(name, flag.length === 0 ? ["on"] : flag, `--${name}`, io), origin: "flag" };
  }
  const variable = environmentName(name);
  const text = variable === undefined ? undefined : io.env[variable];
  // Set to nothing is not set: it is how templates of units and pods leave a variable out.
  if (variable === undefined || text === undefined || text === "") return undefined;
  return { value: read(name, [text], variable, io), origin: "environment" };
}

function read(name: OptionName, texts: readonly string[], spelling: string, io: Io): unknown {
  const { type, secret } = optionSpec(name);
  try {
    const value = type.fromText(texts);
    return type.isPath ? resolve(io.cwd, String(value)) : value;
  } catch (error) {
    if (!(error instanceof ValueError)) throw error;
    throw new PgarkError("usage", secret ? "not a valid value" : error.message, {
      operation: "read option",
      object: spelling,
    });
  }
}

/** The value of an option that this run cannot do without; says in all three spellings how to give it. */
export function required<N extends OptionName>(settings: Settings, name: N): NonNullable<OptionValues[N]> {
  const value = settings.values[name];
  if (value !== undefined) return value as NonNullable<OptionValues[N]>;
  const variable = environmentName(name);
  const others = variable === undefined ? "" : `, ${variable} in the environment, or ${name}: in pgark.yaml`;
  throw new PgarkError("usage", `${name} is not set`, {
    operation: "read configuration",
    object: settings.configFile,
    hint: `give it as --${name}${others}`,
  });
}

const RANK: readonly (Origin | undefined)[] = [undefined, "file", "environment", "flag"];

/**
 * The repositories of this run, in order: `repositories`, or `repository` alone. Where both are said, the one that was said
 * closer to the command line counts.
 */
export function repositoriesOf(settings: Settings): readonly string[] {
  const { repository, repositories } = settings.values;
  if (repositories === undefined || repositories.length === 0) return [required(settings, "repository")];
  if (repository === undefined) return repositories;
  const rank = (name: OptionName): number => RANK.indexOf(settings.origins.get(name));
  if (rank("repository") === rank("repositories")) {
    throw new PgarkError("usage", "repository and repositories are both set", {
      operation: "read configuration",
      object: settings.configFile,
      hint: "keep one of them: repositories for several",
    });
  }
  return rank("repository") > rank("repositories") ? [repository] : repositories;
}

/** The repository of a command that works with one: the first, unless `--repository` names another. */
export function mainRepository(settings: Settings): string {
  const [first] = repositoriesOf(settings);
  return first ?? required(settings, "repository");
}

/** How many repositories must have a WAL file before it is acknowledged. Throws `usage` for more than there are. */
export function quorumOf(settings: Settings): number {
  const { length } = repositoriesOf(settings);
  const { quorum = length } = settings.values;
  if (quorum <= length) return quorum;
  throw new PgarkError(
    "usage",
    `a quorum of ${quorum} cannot be met by ${length === 1 ? "one repository" : `${length} repositories`}`,
    {
      operation: "read configuration",
      object: settings.configFile,
      hint: "make it as many as there are, or fewer",
    },
  );
}

/** Whether log lines are JSON: as said, else as the answer is. */
export function wantsJsonLog(values: OptionValues): boolean {
  return (values["log-format"] ?? (values.json ? "json" : "text")) === "json";
}

/** The file of this host's own key: as configured, else named for the cluster beside the configuration. */
export function hostKeyPath(settings: Settings, cluster: string): string | undefined {
  const named = settings.values["host-key-file"];
  if (named !== undefined) return named;
  return settings.configDirectory === undefined ? undefined : join(settings.configDirectory, `${cluster}.host-key`);
}
