import type { Output } from "./io.ts";

/** Who writes to stderr: whole lines and, on a terminal, one status line below them that lines must not be mixed into. */
export interface Screen {
  readonly output: Output;
  /** Writes a line (its line end included), above the status line when there is one. */
  line(text: string): void;
  /** While something is on the status line; `redraw` puts it back after a line was written. */
  setStatus(redraw: (() => void) | undefined): void;
}

const CLEAR_LINE = "\r\u001b[K";

export function createScreen(output: Output): Screen {
  let redraw: (() => void) | undefined;
  return {
    output,
    line(text) {
      output.write(redraw === undefined ? text : CLEAR_LINE + text);
      redraw?.();
    },
    setStatus(status) {
      redraw = status;
    },
  };
}
