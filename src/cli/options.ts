import type { CommandName } from "./command-names.ts";
import type { OptionSpec } from "./option-spec.ts";
import { SHARED_OPTIONS } from "./option-table/shared.ts";
import { MONITORING_OPTIONS } from "./option-table/monitoring.ts";
import { RETENTION_OPTIONS } from "./option-table/retention.ts";
import { VERIFY_OPTIONS } from "./option-table/verify.ts";
import { RECOVERY_OPTIONS } from "./option-table/recovery.ts";
import { WAL_OPTIONS } from "./option-table/wal.ts";

/**
 * Every option of pgark, declared once. The name is the long flag and the key in pgark.yaml; the environment variable is
 * `PGARK_` and the name in capitals with underscores. Help, documentation, types and checks are made from this table.
 */
export const OPTIONS = {
  ...SHARED_OPTIONS,
  ...MONITORING_OPTIONS,
  ...RETENTION_OPTIONS,
  ...VERIFY_OPTIONS,
  ...RECOVERY_OPTIONS,
  ...WAL_OPTIONS,
} as const;

export type OptionName = keyof typeof OPTIONS;

type ValueOf<N extends OptionName> = (typeof OPTIONS)[N] extends OptionSpec<infer T> ? T : never;

/** The value of every option; undefined where neither the user nor a fixed default says one. */
export type OptionValues = {
  readonly [N in OptionName]: (typeof OPTIONS)[N] extends { readonly default: unknown }
    ? ValueOf<N>
    : ValueOf<N> | undefined;
};

export const OPTION_NAMES = Object.keys(OPTIONS) as readonly OptionName[];

/** The declaration of an option, without the type of its value. */
export function optionSpec(name: OptionName): OptionSpec<unknown> {
  return OPTIONS[name];
}

/** `identity-file` -> `PGARK_IDENTITY_FILE`; undefined for options of one run. */
export function environmentName(name: OptionName): string | undefined {
  return optionSpec(name).flagOnly ? undefined : `PGARK_${name.replaceAll("-", "_").toUpperCase()}`;
}

/** The options that pgark.yaml may set. */
export function fileOptionNames(): readonly OptionName[] {
  return OPTION_NAMES.filter((name) => !optionSpec(name).flagOnly && !optionSpec(name).notInFile);
}

/** The options of a command, in the order of the table. */
export function optionsOf(command: CommandName): readonly OptionName[] {
  return OPTION_NAMES.filter((name) => {
    const { commands } = optionSpec(name);
    return commands === "all" || commands.includes(command);
  });
}
