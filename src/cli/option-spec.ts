import type { CommandName } from "./command-names.ts";
import type { OptionType } from "./option-type.ts";

export interface OptionSpec<T> {
  readonly type: OptionType<T>;
  /** a sentence for `--help` and docs/configuration.md, without a full stop */
  readonly description: string;
  /** which commands know it */
  readonly commands: "all" | readonly CommandName[];
  /** the one-letter flag */
  readonly short?: string;
  /** what it is when nobody says; `defaultText` says so to people where the value alone does not */
  readonly default?: T;
  readonly defaultText?: string;
  /** an option of one run, which neither the environment nor pgark.yaml may set */
  readonly flagOnly?: true;
  /** never in pgark.yaml (it is the path of that file) */
  readonly notInFile?: true;
  /** may hold a password: never repeated in a message */
  readonly secret?: true;
}

/** One row of the table of options. */
export function option<T, const S extends Omit<OptionSpec<T>, "type">>(
  type: OptionType<T>,
  spec: S,
): S & { readonly type: OptionType<T> } {
  return { ...spec, type };
}
