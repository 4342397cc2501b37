import { PgarkError } from "../errors.ts";

/** The options of a connection by libpq's keywords ("host", "dbname", ...), as text. */
export type ConnectionOptions = ReadonlyMap<string, string>;

/**
 * Reads a connection string as libpq does: a URI (`postgresql://user@host:port,host2/db?option=value`) or `keyword=value`
 * pairs with single quotes and backslashes. Throws `usage`, without repeating the text, which may hold a password.
 */
export function parseConninfo(text: string): ConnectionOptions {
  const trimmed = text.trim();
  const uri = /^(?:postgresql|postgres):\/\/(.*)$/s.exec(trimmed);
  return uri === null ? parseKeywords(trimmed) : parseUri(uri[1] ?? "");
}

function parseKeywords(text: string): ConnectionOptions {
  const options = new Map<string, string>();
  const pair = /\s*([^\s=]+)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|((?:[^\s'\\]|\\.)(?:[^\s\\]|\\.)*|))(?=\s|$)\s*/sy;
  while (pair.lastIndex < text.length) {
    const match = pair.exec(text);
    if (match === null) throw invalid("a keyword without a value, or a quote that is not closed");
    options.set(match[1] ?? "", (match[2] ?? match[3] ?? "").replace(/\\(.)/gs, "$1"));
  }
  return options;
}

function parseUri(rest: string): ConnectionOptions {
  const options = new Map<string, string>();
  const match = /^(?:([^@/?]*)@)?([^/?]*)(?:\/([^?]*))?(?:\?(.*))?$/s.exec(rest);
  if (match === null) throw invalid("not a URI of PostgreSQL");
  const [, login, authority = "", database, query] = match;
  if (login !== undefined) {
    const colon = login.indexOf(":");
    setDecoded(options, "user", colon < 0 ? login : login.slice(0, colon));
    if (colon >= 0) setDecoded(options, "password", login.slice(colon + 1));
  }
  parseHosts(options, authority);
  if (database !== undefined) setDecoded(options, "dbname", database);
  for (const parameter of query === undefined || query === "" ? [] : query.split("&")) {
    const equals = parameter.indexOf("=");
    if (equals <= 0) throw invalid("a parameter of the URI has no value");
    const keyword = decode(parameter.slice(0, equals));
    const value = decode(parameter.slice(equals + 1));
    if (keyword === "ssl" && value === "true") options.set("sslmode", "require");
    else options.set(keyword, value);
  }
  return options;
}

/** `host:port,host:port`; an address of IPv6 stands in brackets. */
function parseHosts(options: Map<string, string>, authority: string): void {
  if (authority === "") return;
  const hosts: string[] = [];
  const ports: string[] = [];
  for (const part of authority.split(",")) {
    const match = /^(?:\[([^\]]+)\]|([^:]*))(?::(\d*))?$/.exec(part);
    if (match === null) throw invalid("the URI's host is unreadable");
    hosts.push(decode(match[1] ?? match[2] ?? ""));
    ports.push(match[3] ?? "");
  }
  if (hosts.some((host) => host !== "")) options.set("host", hosts.join(","));
  if (ports.some((port) => port !== "")) options.set("port", ports.join(","));
}

function setDecoded(options: Map<string, string>, keyword: string, value: string): void {
  if (value !== "") options.set(keyword, decode(value));
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw invalid("the URI has a % that is not followed by two hexadecimal digits");
  }
}

function invalid(problem: string): PgarkError {
  return new PgarkError("usage", `unreadable connection string: ${problem}`, {
    operation: "connect to PostgreSQL",
    hint: 'write "host=db1 port=5432 user=backup" or "postgresql://backup@db1:5432/postgres"',
  });
}
