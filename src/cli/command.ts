import type { Log } from "../log.ts";
import type { Paint } from "./colours.ts";
import type { Io } from "./io.ts";
import type { Screen } from "./screen.ts";
import type { Settings } from "./settings.ts";

/** What a command is run with. */
export interface CommandRun {
  readonly settings: Settings;
  /** its arguments, as many as it declares */
  readonly args: readonly string[];
  readonly io: Io;
  readonly log: Log;
  readonly screen: Screen;
  /** colours for standard output */
  readonly paint: Paint;
  readonly version: string;
  /** Prints the one answer of a command: JSON with --json, else text, which ends with a line end. */
  print(answer: { readonly json: () => unknown; readonly text: () => string | Promise<string> }): Promise<void>;
}

/** Does what the command is for; resolves with its exit code. */
export type CommandMain = (run: CommandRun) => Promise<number>;
