import { MEASURE_NAMES, MEASURES } from "../status/measures.ts";
import type { Measure } from "../status/measures.ts";
import { nearest } from "./nearest.ts";

/**
 * Readers of single values, the same for flags, environment and pgark.yaml. They throw a `ValueError` whose message ends the
 * sentence "<option>: ...".
 */
export class ValueError extends Error {
  override readonly name = "ValueError";
}

/** As PostgreSQL counts: 1 kB is 1024 bytes; the IEC names mean the same. */
const SIZE_UNITS: Readonly<Record<string, number>> = {
  b: 1,
  kb: 2 ** 10,
  kib: 2 ** 10,
  mb: 2 ** 20,
  mib: 2 ** 20,
  gb: 2 ** 30,
  gib: 2 ** 30,
  tb: 2 ** 40,
  tib: 2 ** 40,
};

const TIME_UNITS_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, min: 60_000, h: 3_600_000, d: 86_400_000 };

/** Bytes from "64MB", "1.5 GiB" or a plain number of bytes. */
export function parseSize(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([A-Za-z]*)$/.exec(text.trim());
  const unit = SIZE_UNITS[(match?.[2] || "b").toLowerCase()];
  if (match === null || unit === undefined) {
    throw new ValueError(`"${text}" is not a size: write a number and B, kB, MB, GB or TB, such as 64MB`);
  }
  const bytes = Number(match[1]) * unit;
  if (!Number.isInteger(bytes)) throw new ValueError(`"${text}" is not a whole number of bytes`);
  if (!Number.isSafeInteger(bytes)) throw new ValueError(`"${text}" is too large`);
  return bytes;
}

/** Bytes per second from "200MB/s" or "200MB"; more than nothing. */
export function parseRate(text: string): number {
  const match = /^(.*?)\s*\/\s*(\S+)$/.exec(text.trim());
  if (match !== null && match[2] !== "s")
    throw new ValueError(`"${text}" is not a rate: a rate is by the second, such as 200MB/s`);
  let bytes: number;
  try {
    bytes = parseSize(match?.[1] ?? text);
  } catch {
    throw new ValueError(`"${text}" is not a rate: write a size and /s, such as 200MB/s`);
  }
  if (bytes === 0) throw new ValueError("a rate of nothing would never end: leave the option out for no limit");
  return bytes;
}

/** Milliseconds from "10min", "1h 30min", "500ms". A bare number is refused: its unit would be a guess. */
export function parseDuration(text: string): number {
  const trimmed = text.trim();
  if (/^\d+(\.\d+)?$/.test(trimmed))
    throw new ValueError(`"${text}" has no unit: write ms, s, min, h or d, such as ${trimmed}s`);
  const parts = [...trimmed.matchAll(/(\d+(?:\.\d+)?)\s*([A-Za-z]+)\s*/g)];
  const read = parts.map((part) => part[0]).join("");
  const unknown = parts.some((part) => TIME_UNITS_MS[part[2] ?? ""] === undefined);
  if (parts.length === 0 || read !== trimmed || unknown) {
    throw new ValueError(`"${text}" is not a duration: write a number and ms, s, min, h or d, such as 10min`);
  }
  const total = parts.reduce((sum, part) => sum + Number(part[1]) * (TIME_UNITS_MS[part[2] ?? ""] ?? 0), 0);
  if (!Number.isSafeInteger(Math.round(total))) throw new ValueError(`"${text}" is too long`);
  return Math.round(total);
}

/** A whole number from `least` to `most`. */
export function parseWholeNumber(text: string, least: number, most: number): number {
  const value = /^[+-]?\d+$/.test(text.trim()) ? Number(text) : Number.NaN;
  if (!(value >= least && value <= most))
    throw new ValueError(`"${text}" is not a whole number from ${least} to ${most}`);
  return value;
}

/** A share, above 0 and up to 1, from "5%" or "0.5 %". */
export function parsePercent(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*%$/.exec(text.trim());
  const percent = Number(match?.[1] ?? Number.NaN);
  if (percent > 0 && percent <= 100) return percent / 100;
  throw new ValueError(`"${text}" is not a share: write a number above 0, up to 100, and %, such as 5%`);
}

/** PostgreSQL's words for a boolean. */
export function parseBoolean(text: string): boolean {
  const word = text.trim().toLowerCase();
  if (["1", "true", "on", "yes"].includes(word)) return true;
  if (["0", "false", "off", "no"].includes(word)) return false;
  throw new ValueError(`"${text}" is neither on nor off`);
}

/** One of a few words. */
export function parseChoice<T extends string>(text: string, choices: readonly T[]): T {
  const found = choices.find((choice) => choice === text.trim());
  if (found === undefined) throw new ValueError(`"${text}" is not one of ${choices.join(", ")}`);
  return found;
}

/** The parts of a list with commas between them; empty parts are left out. */
export function parseList(text: string): readonly string[] {
  return text
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "");
}

export interface ListenAddress {
  readonly host: string;
  /** 0: whichever is free */
  readonly port: number;
}

/** "127.0.0.1:9787", "[::1]:9787", "localhost:9787". */
export function parseListenAddress(text: string): ListenAddress {
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text.trim());
  const port = Number(match?.[3]);
  if (match === null || port > 65_535) {
    throw new ValueError(`"${text}" is not an address and port: write it as 127.0.0.1:9787 or [::1]:9787`);
  }
  return { host: match[1] ?? match[2] ?? "", port };
}

/** The name of a cluster: it is a path component in every store. */
export function parseClusterName(text: string): string {
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/.test(text)) {
    throw new ValueError(
      `"${text}" cannot name a cluster: use up to 63 letters, digits, ".", "_" and "-", a letter or digit first`,
    );
  }
  return text;
}

/** `old=new` of --tablespace, as pg_basebackup reads it: "\=" is an equals sign that belongs to a path. */
export function parseTablespaceMapping(text: string): { readonly from: string; readonly to: string } {
  const match = /^((?:\\=|[^=])+)=((?:\\=|[^=])+)$/.exec(text);
  const unescape = (part: string | undefined): string => (part ?? "").replaceAll("\\=", "=");
  const from = unescape(match?.[1]);
  const to = unescape(match?.[2]);
  if (match === null || !/^(\/|\d+$)/.test(from) || !to.startsWith("/")) {
    throw new ValueError(
      `"${text}" is not old=new: old is the directory (or OID) in the backup, new an absolute directory here`,
    );
  }
  return { from, to };
}

/** `backup-age=26h`: a measure of `pgark status` and its threshold, or `off` for none. */
export function parseThreshold(text: string): readonly [Measure, number | "off"] {
  const [name = "", value = ""] = text.split("=", 2).map((part) => part.trim());
  const measure = MEASURE_NAMES.find((each) => each === name);
  if (measure === undefined) {
    const guess = nearest(name, MEASURE_NAMES);
    const help = guess === undefined ? `the names are ${MEASURE_NAMES.join(", ")}` : `did you mean "${guess}"?`;
    throw new ValueError(`"${name}" cannot have a threshold: ${help}`);
  }
  if (value === "") throw new ValueError(`"${text}" has no value: write it as ${name}=<value>, or ${name}=off`);
  if (value === "off") return [measure, "off"];
  const read = { duration: parseDuration, size: parseSize, count: parseCount }[MEASURES[measure].unit];
  return [measure, read(value)];
}

function parseCount(text: string): number {
  return parseWholeNumber(text, 0, Number.MAX_SAFE_INTEGER);
}
