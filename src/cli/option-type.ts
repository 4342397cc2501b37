import type { ThresholdSettings } from "../status/measures.ts";
import {
  parseBoolean,
  parseChoice,
  parseClusterName,
  parseDuration,
  parseList,
  parsePercent,
  parseListenAddress,
  parseRate,
  parseSize,
  parseTablespaceMapping,
  parseThreshold,
  parseWholeNumber,
  ValueError,
} from "./parse-values.ts";

/** How the values of an option are written and read. */
export interface OptionType<T> {
  /** for the documentation: "whole number, 1 to 64" */
  readonly name: string;
  /** what stands for the value in `--help`; undefined for a flag that takes none */
  readonly placeholder: string | undefined;
  /** whether the flag may be given more than once */
  readonly repeatable: boolean;
  /** reads flags and environment variables; several texts only when `repeatable` */
  readonly fromText: (texts: readonly string[]) => T;
  /** reads the plain value that YAML gave; throws `ValueError` for a wrong type too */
  readonly fromYaml: (value: unknown) => T;
  /** whether a relative value is a path (relative to the file that says it) */
  readonly isPath: boolean;
}

export const text = scalar("text", "text", (value) => value);
export const clusterName = scalar("name", "name", parseClusterName);
export const storeUrl = scalar("URL", "url", (value) => {
  // A path counts as a file repository; a relative one would name another place in every directory.
  if (/^([a-z][a-z0-9+.-]*:\/\/|\/)/i.test(value)) return value;
  throw new ValueError(`"${value}" is not the URL of a repository: write it as file:///srv/pgark`);
});
export const path: OptionType<string> = { ...scalar("path", "path", (value) => value), isPath: true };
/** an absolute directory, or `off` for none */
export const spool = scalar("absolute path | off", "path|off", (value) => {
  if (value === "off" || value.startsWith("/")) return value;
  throw new ValueError(`"${value}" is not an absolute path, nor "off"`);
});
/** bytes */
export const size = scalar("size, such as 256MB", "size", parseSize, (value) => parseSize(String(value)));
export const duration = scalar("duration, such as 10min", "duration", parseDuration);
export const listenAddress = scalar("host:port", "host:port", parseListenAddress);
/** bytes per second; a bare number in YAML is bytes */
export const rate = scalar("rate, such as 200MB/s", "rate", parseRate, (value) => parseRate(String(value)));

/** a share, above 0 and up to 1 */
export const percent = scalar("share, such as 5%", "share", parsePercent);

export function wholeNumber(least: number, most: number): OptionType<number> {
  const read = (value: string): number => parseWholeNumber(value, least, most);
  return scalar(`whole number, ${least} to ${most}`, "number", read, (value) => read(String(value)));
}

/** How many of something, at least one: for none, the option is left out. */
export const count = wholeNumber(1, 1_000_000);

export function choice<const T extends string>(...choices: readonly T[]): OptionType<T> {
  // YAML 1.2 reads "on" and "off" as text, so no boolean has to be turned back into its word.
  return scalar(choices.join(" | "), choices.join("|"), (value) => parseChoice(value, choices));
}

export const flag: OptionType<boolean> = {
  name: "on | off",
  placeholder: undefined,
  repeatable: false,
  isPath: false,
  fromText: (texts) => parseBoolean(last(texts)),
  fromYaml: (value) => {
    if (typeof value === "boolean") return value;
    if (typeof value === "string") return parseBoolean(value);
    throw new ValueError(`expected true or false, found ${describe(value)}`);
  },
};

export const list: OptionType<readonly string[]> = {
  name: "list",
  placeholder: "list",
  repeatable: true,
  isPath: false,
  fromText: (texts) => texts.flatMap(parseList),
  fromYaml: (value) => {
    if (typeof value === "string") return parseList(value);
    if (Array.isArray(value) && value.every((part) => typeof part === "string")) return value;
    throw new ValueError(`expected a list of texts, found ${describe(value)}`);
  },
};

/** URLs of repositories, no two the same. */
export const storeUrlList: OptionType<readonly string[]> = {
  ...list,
  name: "list of URLs",
  placeholder: "urls",
  fromText: (texts) => distinctUrls(list.fromText(texts)),
  fromYaml: (value) => distinctUrls(list.fromYaml(value)),
};

function distinctUrls(values: readonly string[]): readonly string[] {
  // None at all would be archived to without fail, and hold nothing.
  if (values.length === 0) throw new ValueError("expected at least one URL");
  const urls = values.map((value) => storeUrl.fromText([value]));
  const twice = urls.find((url, index) => urls.indexOf(url) !== index);
  if (twice !== undefined) throw new ValueError(`"${twice}" is named twice`);
  if (urls.length === 0) throw new ValueError("names no repository");
  return urls;
}

/** `--warn backup-age=26h,backlog=50`, or a mapping of names to values in YAML. */
export const thresholds: OptionType<ThresholdSettings> = {
  name: "list of name=value",
  placeholder: "name=value",
  repeatable: true,
  isPath: false,
  fromText: (texts) => Object.fromEntries(texts.flatMap(parseList).map(parseThreshold)),
  fromYaml: (value) => {
    if (typeof value === "string") return thresholds.fromText([value]);
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      throw new ValueError(`expected a mapping such as backup-age: 26h, found ${describe(value)}`);
    }
    const isPlain = (each: unknown): each is string | number => typeof each === "string" || typeof each === "number";
    return Object.fromEntries(
      Object.entries(value).map(([name, each]: [string, unknown]) => {
        if (!isPlain(each)) throw new ValueError(`expected a value for ${name}, found ${describe(each)}`);
        return parseThreshold(`${name}=${each}`);
      }),
    );
  },
};

/** `--tablespace old=new`, any number of times. */
export const tablespaceMap: OptionType<ReadonlyMap<string, string>> = {
  name: "old=new",
  placeholder: "old=new",
  repeatable: true,
  isPath: false,
  fromText: (texts) => {
    const map = new Map<string, string>();
    for (const { from, to } of texts.map(parseTablespaceMapping)) {
      if (map.has(from)) throw new ValueError(`"${from}" is mapped twice`);
      map.set(from, to);
    }
    return map;
  },
  fromYaml: () => {
    throw new ValueError("is for the command line only");
  },
};

function scalar<T>(
  name: string,
  placeholder: string,
  read: (value: string) => T,
  fromNumber?: (value: number) => T,
): OptionType<T> {
  const readText = (value: string): T => {
    if (value.trim() === "") throw new ValueError("is empty");
    if (value.includes("\0")) throw new ValueError("holds a NUL byte");
    return read(value);
  };
  return {
    name,
    placeholder,
    repeatable: false,
    isPath: false,
    fromText: (texts) => readText(last(texts)),
    fromYaml: (value) => {
      if (typeof value === "string") return readText(value);
      if (typeof value === "number" && fromNumber !== undefined) return fromNumber(value);
      const wanted = name === "text" || name === "path" || name === "name" || name === "URL" ? "text" : name;
      throw new ValueError(`expected ${wanted}, found ${describe(value)}`);
    },
  };
}

function last(texts: readonly string[]): string {
  return texts.at(-1) ?? "";
}

function describe(value: unknown): string {
  if (value === null || value === undefined) return "nothing";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "a mapping";
  return `the ${typeof value === "string" ? "text" : typeof value} ${JSON.stringify(value)}`;
}
