import type { ExitCodeRow } from "./exit-codes.ts";
import type { CommandMain } from "./command.ts";
import type { CommandName } from "./command-names.ts";

export interface Example {
  readonly text: string;
  readonly command: string;
}

/** All of a command but what it does; that is loaded when it is run. */
export interface CommandSpec {
  readonly name: CommandName;
  /** its arguments; all but the optional ones at the end are needed */
  readonly args: readonly { readonly name: string; readonly description: string; readonly optional?: true }[];
  readonly summary: string;
  readonly description: string;
  readonly examples: readonly Example[];
  readonly exitCodes: readonly ExitCodeRow[];
  /** what else its help explains: a title, and a text that is there when it is asked for */
  readonly section?: { readonly title: string; readonly text: () => string };
  readonly load: () => Promise<{ readonly main: CommandMain }>;
}
