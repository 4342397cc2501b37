import { isPgarkError } from "../errors.ts";
import type { Paint } from "./colours.ts";
import { toJson } from "./json-shapes.ts";

/** How deep a chain of causes is told. */
const MOST_CAUSES = 3;

export interface ErrorStyle {
  readonly json: boolean;
  /** whether the stack of an unforeseen error is shown */
  readonly stack: boolean;
  readonly paint: Paint;
}

/**
 * What a failed command says on stderr: `pgark: push 00000001...: problem`, the causes, and what can be done; or one line of
 * JSON. A foreseen error never shows a stack.
 */
export function formatError(error: unknown, exitCode: number, style: ErrorStyle): string {
  if (style.json) return `${toJson({ error: errorJson(error), exitCode })}\n`;
  if (isPgarkError(error)) {
    const causes = causesOf(error).map((cause) => `CAUSE: ${cause}\n`);
    const hint = error.hint === undefined ? "" : `${style.paint("bold", "HINT:")} ${error.hint}\n`;
    return `${style.paint("red", "pgark:")} ${headline(error)}\n${causes.join("")}${hint}`;
  }
  const stack = style.stack && error instanceof Error ? `${error.stack}\n` : "";
  const hint = style.stack
    ? "please report it with the lines above"
    : "run it again with --log-level debug for the details, and report it";
  return `${style.paint("red", "pgark:")} this is a bug in pgark: ${messageOf(error)}\n${stack}${style.paint("bold", "HINT:")} ${hint}\n`;
}

function headline(error: { operation: string; object: string | undefined; message: string }): string {
  return `${error.operation}${error.object === undefined || error.object === "" ? "" : ` ${error.object}`}: ${error.message}`;
}

function errorJson(error: unknown): Readonly<Record<string, unknown>> {
  if (!isPgarkError(error))
    return { code: "bug", operation: null, object: null, message: messageOf(error), hint: null, causes: [], facts: {} };
  return {
    code: error.code,
    operation: error.operation,
    object: error.object ?? null,
    message: error.message,
    hint: error.hint ?? null,
    causes: causesOf(error),
    facts: error.facts ?? {},
  };
}

/** The messages behind an error, nearest first, without those that only repeat what was said. */
function causesOf(error: Error): readonly string[] {
  const causes: string[] = [];
  const said = [error.message];
  let cause = error.cause;
  // Counted by links, not by what was told: a chain may go in a circle.
  for (let depth = 0; depth < MOST_CAUSES && cause !== undefined && cause !== null; depth++) {
    const text = isPgarkError(cause) ? headline(cause) : messageOf(cause);
    if (text !== "" && !said.some((earlier) => earlier.includes(text))) causes.push(text);
    said.push(text);
    cause = cause instanceof Error ? cause.cause : undefined;
  }
  return causes;
}

function messageOf(error: unknown): string {
  const text = error instanceof Error ? error.message || error.name : String(error);
  return text.split("\n", 1)[0] ?? "";
}
