import { PgarkError } from "../errors.ts";

/** Words that mean nothing to a shell as they are. A leading "=" or "~" is expanded by some, so they are quoted. */
const PLAIN = /^[A-Za-z0-9_@%+:,./-][A-Za-z0-9_@%+=:,./-]*$/;

/** One word for any POSIX shell. */
export function shellQuote(word: string): string {
  return PLAIN.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/** Doubles `%`, which PostgreSQL expands in archive_command and restore_command. */
export function percentQuote(text: string): string {
  return text.replaceAll("%", "%%");
}

/** A value for postgresql.conf, whose strings know the backslash as an escape. */
export function configurationQuote(value: string): string {
  return `'${value.replaceAll("\\", "\\\\").replaceAll("'", "''")}'`;
}

/** The longest command worth writing: PostgreSQL's configuration and the shell take far more. */
const MOST_BYTES = 8192;

export interface WalCommand {
  /** the absolute path of bin/pgark */
  readonly program: string;
  readonly verb: "wal-push" | "wal-fetch";
  /** flags and their values, one word each; never a secret, since `ps` shows them */
  readonly flags: readonly string[];
}

/** The text of archive_command or restore_command, before it is quoted for postgresql.conf. */
export function walCommand({ program, verb, flags }: WalCommand): string {
  const words = [program, ...flags];
  const strange = words.find((word) => /[\n\r\0]/.test(word));
  if (strange !== undefined) {
    throw new PgarkError("usage", "a line break cannot be part of a path or a value in postgresql.conf", {
      operation: `write the ${verb} command`,
      object: JSON.stringify(strange),
    });
  }
  const quote = (word: string): string => percentQuote(shellQuote(word));
  const placeholders = verb === "wal-push" ? `"%p"` : `%f "%p"`;
  const command = [quote(program), verb, placeholders, ...flags.map(quote)].join(" ");
  if (Buffer.byteLength(command) > MOST_BYTES) {
    throw new PgarkError("usage", "the command is too long", {
      operation: `write the ${verb} command`,
      hint: "put the settings into a pgark.yaml",
    });
  }
  return command;
}
