import { styleText } from "node:util";
import type { Io, Output } from "./io.ts";

type Style = Parameters<typeof styleText>[0];

export type Paint = (style: Style, text: string) => string;

/** Colours for a terminal, unless NO_COLOR says otherwise (https://no-color.org: set to anything but nothing). */
export function paintFor(output: Output, env: Io["env"]): Paint {
  const wanted = output.isTerminal && !env["NO_COLOR"] && env["TERM"] !== "dumb";
  return wanted ? (style, text) => styleText(style, text, { validateStream: false }) : (_style, text) => text;
}
