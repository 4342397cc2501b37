import { PgarkError } from "../errors.ts";
import type { ConnectionOptions } from "./conninfo.ts";

/**
 * Reads one section of a connection service file (`pg_service.conf`), or returns undefined when it is not in there. Like
 * libpq, throws `usage` on a line that is not `keyword=value`.
 */
export function parseServiceFile(text: string, service: string): ConnectionOptions | undefined {
  let options: Map<string, string> | undefined;
  let inSection = false;
  for (const line of text.split("\n").map((raw) => raw.trim())) {
    if (line === "" || line.startsWith("#")) continue;
    if (line.startsWith("[")) {
      // the first section of a name counts
      if (inSection) return options;
      inSection = line === `[${service}]`;
      if (inSection) options = new Map();
      continue;
    }
    if (!inSection) continue;
    const equals = line.indexOf("=");
    if (equals <= 0) {
      throw new PgarkError("usage", "a line of the connection service file is not keyword=value", {
        operation: "read service file",
        object: service,
      });
    }
    const keyword = line.slice(0, equals).trim();
    if (options?.has(keyword) === false) options.set(keyword, line.slice(equals + 1).trim());
  }
  return options;
}

export interface PasswordQuestion {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
}

/** The password that a password file (`.pgpass`) has for a connection: the first line that fits. */
export function findPassword(text: string, question: PasswordQuestion): string | undefined {
  const wanted = [question.host, String(question.port), question.database, question.user];
  for (const raw of text.split("\n")) {
    const line = raw.endsWith("\r") ? raw.slice(0, -1) : raw;
    if (line.startsWith("#")) continue;
    const fields = splitPasswordLine(line);
    const password = fields[4];
    if (password === undefined || password === "") continue;
    if (wanted.every((value, index) => fields[index] === "*" || fields[index] === value)) return password;
  }
  return undefined;
}

/** Five fields with colons between them; a backslash takes the meaning from a colon or a backslash. */
function splitPasswordLine(line: string): readonly string[] {
  const fields: string[] = [""];
  for (let at = 0; at < line.length; at++) {
    const char = line.charAt(at);
    if (char === ":" && fields.length < 5) fields.push("");
    else if (char === "\\" && at + 1 < line.length) fields.push((fields.pop() ?? "") + line.charAt(++at));
    else fields.push((fields.pop() ?? "") + char);
  }
  return fields;
}
