import { readFile } from "node:fs/promises";
import { dirname, isAbsolute, join, resolve } from "node:path";
import { errnoOf, ioError, PgarkError } from "../errors.ts";
import type { Io } from "./io.ts";
import { nearest } from "./nearest.ts";
import { fileOptionNames, OPTION_NAMES, optionSpec } from "./options.ts";
import type { OptionName } from "./options.ts";
import { ValueError } from "./parse-values.ts";

export interface ConfigFile {
  /** absolute */
  readonly path: string;
  readonly values: ReadonlyMap<OptionName, unknown>;
}

/**
 * Where pgark.yaml is looked for, in this order. Never in the working directory: PostgreSQL runs wal-push and wal-fetch in its
 * data directory, which base backups copy and which others may write to; a file there must not decide where WAL goes.
 * /etc comes first so that every user of a host, PostgreSQL and an administrator alike, reads the same one.
 */
export function configSearchPath(io: Pick<Io, "env" | "homeDirectory">): readonly string[] {
  const configured = io.env["XDG_CONFIG_HOME"];
  const user =
    configured !== undefined && isAbsolute(configured)
      ? configured
      : io.homeDirectory === undefined
        ? undefined
        : join(io.homeDirectory, ".config");
  return ["/etc/pgark/pgark.yaml", ...(user === undefined ? [] : [join(user, "pgark", "pgark.yaml")])];
}

/**
 * Reads the file at `named`, which must exist, or else the first of `searchPath` that exists. A file that is there and cannot
 * be read is an error: going on without it would silently use other settings.
 */
export async function readConfigFile(
  named: string | undefined,
  searchPath: readonly string[],
): Promise<ConfigFile | undefined> {
  for (const path of named === undefined ? searchPath : [named]) {
    let text: string;
    try {
      text = await readFile(path, "utf8");
    } catch (error) {
      const errno = errnoOf(error);
      if (named === undefined && (errno === "ENOENT" || errno === "ENOTDIR")) continue;
      if (errno === "ENOENT") {
        throw new PgarkError("usage", "there is no such configuration file", {
          operation: "read configuration",
          object: path,
          cause: error,
        });
      }
      throw ioError("read configuration", path, error);
    }
    return { path, values: await parseConfig(text, path) };
  }
  return undefined;
}

/** Reads the text of a pgark.yaml; `path` is its absolute name, which relative paths in it are relative to. */
export async function parseConfig(text: string, path: string): Promise<ReadonlyMap<OptionName, unknown>> {
  const { isMap, isScalar, LineCounter, parseDocument } = await import("yaml");
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const lineOf = (offset: number | undefined): string => `${path}:${lines.linePos(offset ?? 0).line}`;
  const values = new Map<OptionName, unknown>();

  const broken = document.errors[0];
  if (broken !== undefined) throw configError(`not YAML: ${firstLine(broken.message)}`, lineOf(broken.pos[0]));
  const empty = document.contents === null || (isScalar(document.contents) && document.contents.value === null);
  if (empty) return values;
  if (!isMap(document.contents)) throw configError("must be a mapping of options to values", lineOf(0));

  for (const { key, value } of document.contents.items) {
    const at = lineOf(isScalar(key) ? key.range?.[0] : undefined);
    const name = isScalar(key) ? String(key.value) : "";
    if (!isFileOption(name)) throw unknownKey(name, at);
    // Secrets of a kind that must not be repeated are never put into the message.
    const plain = (value as { toJS?: (document: unknown) => unknown } | null)?.toJS?.(document) ?? null;
    values.set(name, readValue(name, plain, path, at));
  }
  return values;
}

function readValue(name: OptionName, value: unknown, path: string, at: string): unknown {
  const { type, secret } = optionSpec(name);
  if (value === null) throw configError(`"${name}" has no value: give it one or remove the line`, at);
  try {
    const read = type.fromYaml(value);
    return type.isPath ? resolve(dirname(path), String(read)) : read;
  } catch (error) {
    if (!(error instanceof ValueError)) throw error;
    throw configError(`"${name}": ${secret ? "not a valid value" : error.message}`, at);
  }
}

function isFileOption(name: string): name is OptionName {
  return (fileOptionNames() as readonly string[]).includes(name);
}

function unknownKey(name: string, at: string): PgarkError {
  if ((OPTION_NAMES as readonly string[]).includes(name)) {
    return configError(`"${name}" is for the command line only`, at, "remove the line");
  }
  const guess = nearest(name, fileOptionNames());
  return configError(
    `unknown key "${name}"`,
    at,
    guess === undefined ? `the keys are ${fileOptionNames().join(", ")}` : `did you mean "${guess}"?`,
  );
}

function configError(problem: string, at: string, hint?: string): PgarkError {
  return new PgarkError("usage", problem, { operation: "read configuration", object: at, hint });
}

function firstLine(text: string): string {
  return text.split("\n", 1)[0] ?? "";
}
