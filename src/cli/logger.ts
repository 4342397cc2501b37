import type { pino as Pino } from "pino";
import { formatUtc } from "../format.ts";
import type { Log } from "../log.ts";
import type { Paint } from "./colours.ts";

export type LogLevel = "debug" | "info" | "warn" | "silent";

export interface LoggerOptions {
  readonly level: LogLevel;
  readonly format: "text" | "json";
  readonly now: () => Date;
  /** takes one line, its line end included */
  readonly write: (line: string) => void;
  readonly paint: Paint;
}

/** The log of a run, and the promise that every line of it is written. */
export interface Logger {
  readonly log: Log;
  /** Resolves when all lines given so far are out. */
  readonly drain: () => Promise<void>;
}

type Level = keyof Log;
type Facts = Readonly<Record<string, unknown>> | undefined;

interface Line {
  readonly level: Level;
  readonly message: string;
  readonly facts: Facts;
  readonly time: Date;
}

const RANK: Readonly<Record<LogLevel, number>> = { debug: 0, info: 1, warn: 2, silent: 3 };

/**
 * The log lines of the command line, on pino. It is loaded with the first line that is wanted (an ordinary wal-push has none
 * to write); lines given meanwhile wait, with the time they were given at.
 */
export function createLogger(options: LoggerOptions): Logger {
  const waiting: Line[] = [];
  let write: ((line: Line) => void) | undefined;
  let loading: Promise<void> | undefined;

  const load = async (): Promise<void> => {
    const { pino } = await import("pino");
    write = pinoWriter(pino, options);
    for (const line of waiting.splice(0)) write(line);
  };
  const add = (level: Level, message: string, facts: Facts): void => {
    if (RANK[level] < RANK[options.level]) return;
    const line = { level, message, facts, time: options.now() };
    if (write !== undefined) return write(line);
    waiting.push(line);
    loading ??= load();
  };
  return {
    log: {
      debug: (message, facts) => add("debug", message, facts),
      info: (message, facts) => add("info", message, facts),
      warn: (message, facts) => add("warn", message, facts),
    },
    drain: async () => loading,
  };
}

function pinoWriter(pino: typeof Pino, options: LoggerOptions): (line: Line) => void {
  let time = "";
  const write =
    options.format === "json" ? options.write : (json: string) => options.write(textLine(json, options.paint));
  const logger = pino(
    {
      level: options.level,
      base: null,
      messageKey: "message",
      timestamp: () => `,"time":"${time}"`,
      formatters: { level: (label) => ({ level: label }) },
    },
    { write },
  );
  return (line) => {
    time = line.time.toISOString();
    logger[line.level](plainFacts(line.facts), line.message);
  };
}

/** What pino writes for us: its own fields, and the facts. */
interface PinoLine extends Record<string, unknown> {
  readonly level: string;
  readonly time: string;
  readonly message: string;
}

/** `2026-11-20 10:00:00 UTC [info] message (segment: 00000001000000000000000A)` */
export function textLine(json: string, paint: Paint): string {
  const { level, time, message, ...facts } = JSON.parse(json) as PinoLine;
  // Not again what the message has said already.
  const tail = Object.entries(facts)
    .map(([key, value]) => [key, typeof value === "string" ? value : JSON.stringify(value)] as const)
    .filter(([, text]) => !message.includes(text))
    .map(([key, text]) => `${key}: ${text}`);
  const shown =
    level === "warn" ? paint("yellow", "[warn]") : level === "debug" ? paint("dim", "[debug]") : `[${level}]`;
  return `${formatUtc(new Date(time))} ${shown} ${message}${tail.length === 0 ? "" : ` (${tail.join(", ")})`}\n`;
}

/** LSNs and identifiers are bigints, which JSON has no word for: they become strings. An error becomes its message. */
function plainFacts(facts: Facts = {}): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(facts).map(([key, value]) => [
      key,
      typeof value === "bigint" ? value.toString() : value instanceof Error ? value.message : value,
    ]),
  );
}
