import { execFileSync } from "node:child_process";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { configurationQuote, shellQuote, walCommand } from "../../src/cli/shell-quote.ts";

/** As PostgreSQL does (replace_percent_placeholders in src/common/percentrepl.c). */
function expandPlaceholders(command: string, values: Readonly<Record<string, string>>): string {
  return command.replace(/%(.)?/gs, (all, letter: string | undefined) => {
    if (letter === "%") return "%";
    const value = letter === undefined ? undefined : values[letter];
    if (value === undefined) throw new Error(`unexpected placeholder ${all}`);
    return value;
  });
}

/** As PostgreSQL's configuration parser does (DeescapeQuotedString in src/backend/utils/misc/guc-file.l). */
function readConfigurationString(text: string): string {
  if (!/^'([^'\\\n]|\\.|'')*'$/s.test(text)) throw new Error("not a string of postgresql.conf");
  return text.slice(1, -1).replace(/\\(.)|''/gs, (_all, escaped: string | undefined) => {
    if (escaped === undefined) return "'";
    if (/[bfnrt0-7]/.test(escaped)) throw new Error(`an escape that means something else: \\${escaped}`);
    return escaped;
  });
}

/** The words that a shell makes of a command. */
function words(command: string, shell = "/bin/sh"): string[] {
  const script = `set -- ${command}\nfor word in "$@"; do printf '%s\\0' "$word"; done`;
  return execFileSync(shell, ["-c", script], { encoding: "utf8", env: { HOME: "/home/x", a: "expanded" } })
    .split("\0")
    .slice(0, -1);
}

const SPECIAL = "'\"\\$`%~=*?[]{}()<>|&;!# \tabn/fpr-".split("");

const nasty = fc.oneof(
  fc.string({ minLength: 1 }),
  fc.string({ minLength: 1, unit: fc.constantFrom(...SPECIAL) }),
).filter((text) => !/[\n\r\0]/.test(text)); // prettier-ignore

describe("the commands for PostgreSQL", () => {
  test("restore_command comes through postgresql.conf, PostgreSQL's placeholders and the shell as it was meant", () => {
    fc.assert(
      fc.property(fc.array(nasty, { minLength: 1, maxLength: 4 }), nasty, (flags, program) => {
        const line = configurationQuote(walCommand({ program: `/${program}`, verb: "wal-fetch", flags }));
        const command = expandPlaceholders(readConfigurationString(line), {
          f: "00000002.history",
          p: "pg_wal/RECOVERY HISTORY",
        });
        expect(words(command)).toEqual([
          `/${program}`,
          "wal-fetch",
          "00000002.history",
          "pg_wal/RECOVERY HISTORY",
          ...flags,
        ]);
      }),
      { numRuns: 150 },
    );
  });

  test("archive_command asks for the path alone", () => {
    expect(walCommand({ program: "/usr/bin/pgark", verb: "wal-push", flags: ["--cluster", "main"] })).toBe(
      '/usr/bin/pgark wal-push "%p" --cluster main',
    );
  });

  test("per cent signs in paths are doubled and spaces quoted", () => {
    expect(walCommand({ program: "/o p/pgark", verb: "wal-fetch", flags: ["--config", "/a%b"] })).toBe(
      `'/o p/pgark' wal-fetch %f "%p" --config /a%%b`,
    );
  });

  test.each(["\n", "\r", "\0"])("a path with %j is refused: postgresql.conf has no way to write it", (bad) => {
    expect(() => walCommand({ program: `/a${bad}`, verb: "wal-push", flags: [] })).toThrow("line break");
  });
});

test.each(["~", "=x", "a b", "", "*", "$HOME", "-n"])("the shell takes %j as one word", (word) => {
  expect(words(shellQuote(word))).toEqual([word]);
});
