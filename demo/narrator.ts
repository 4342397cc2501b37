import { basename } from "node:path";
import { runPgark } from "../test/helpers/pgark.ts";

const isTerminal = process.stdout.isTTY && process.env["NO_COLOR"] === undefined;
const paint = (code: number, text: string): string => (isTerminal ? `\u001B[${code}m${text}\u001B[0m` : text);

let steps = 0;

/** A new act, with its number. */
export function step(title: string): void {
  console.log(`\n${paint(1, `${++steps}. ${title}`)}`);
}

export function say(text: string): void {
  console.log(text);
}

export function shell(line: string): void {
  console.log(paint(36, `   $ ${line}`));
}

export function output(text: string): void {
  for (const line of text.trimEnd().split("\n")) console.log(`   ${line}`.trimEnd());
}

export interface PgarkRun {
  readonly env: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
  /** shows its standard output from the line on that begins like this */
  readonly from?: string;
}

/** Shows a pgark command as one would type it, runs it, and shows what it prints. Throws when it fails. */
export async function pgark(args: readonly string[], { env, signal, from }: PgarkRun): Promise<string> {
  shell(["pgark", ...args.map(quote)].join(" "));
  const { exitCode, signal: killedBy, stdout, stderr } = await runPgark(args, { env, signal });
  if (stderr !== "") output(stderr);
  if (stdout !== "")
    output(stdout.slice(from === undefined ? 0 : Math.max(0, stdout.search(new RegExp(`^${from}`, "m")))));
  if (exitCode !== 0) throw new Error(`pgark ${basename(args[0] ?? "")} failed (${exitCode ?? killedBy})`);
  return stdout;
}

function quote(argument: string): string {
  return /^[\w./:=@%+-]+$/.test(argument) ? argument : `'${argument}'`;
}
