import { inspect } from "node:util";
import { describe, expect, test } from "vitest";
import { formatError } from "../../src/cli/print-error.ts";
import { Secret } from "../../src/cli/secret.ts";
import { PgarkError } from "../../src/errors.ts";

const plain = { json: false, stack: false, paint: (_style: unknown, text: string) => text };
const foreseen = new PgarkError("unavailable", "the store does not answer", {
  operation: "push",
  object: "00000001000000000000000A",
  hint: "check the network",
  cause: new Error("connect failed", { cause: new Error("ECONNREFUSED 10.0.0.1:443\nand more") }),
  facts: { lsn: 5n },
});

describe("an error that was foreseen", () => {
  test("says what was done to what, the problem, its causes and what to do, without a stack", () => {
    expect(formatError(foreseen, 6, { ...plain, stack: true })).toBe(
      "pgark: push 00000001000000000000000A: the store does not answer\n" +
        "CAUSE: connect failed\n" +
        "CAUSE: ECONNREFUSED 10.0.0.1:443\n" +
        "HINT: check the network\n",
    );
  });

  test("does not repeat a cause that the problem tells already", () => {
    const error = new PgarkError("io", "ENOSPC: no space left", {
      operation: "write",
      cause: new Error("ENOSPC: no space left"),
    });
    expect(formatError(error, 1, plain)).toBe("pgark: write: ENOSPC: no space left\n");
  });

  test("tells three causes at most, and comes to an end when causes go in a circle", () => {
    const first = new Error("one");
    first.cause = new Error("two", { cause: first });
    expect(
      formatError(new PgarkError("io", "problem", { operation: "x", cause: first }), 1, plain).split("\n").length,
    ).toBeLessThan(6);
  });

  test("is one line of JSON under --json", () => {
    const text = formatError(foreseen, 6, { ...plain, json: true });
    expect(text.trimEnd()).not.toContain("\n");
    expect(JSON.parse(text)).toEqual({
      error: {
        code: "unavailable",
        operation: "push",
        object: "00000001000000000000000A",
        message: "the store does not answer",
        hint: "check the network",
        causes: ["connect failed", "ECONNREFUSED 10.0.0.1:443"],
        facts: { lsn: "5" },
      },
      exitCode: 6,
    });
  });
});

describe("an error that nobody foresaw", () => {
  const bug = new TypeError("x is not a function");
  test("says that it is a bug, and keeps its stack for --log-level debug", () => {
    expect(formatError(bug, 1, plain)).toContain("this is a bug in pgark: x is not a function");
    expect(formatError(bug, 1, plain)).not.toContain("print-error.test.ts");
    expect(formatError(bug, 1, { ...plain, stack: true })).toContain("print-error.test.ts");
  });
  test.each([undefined, null, "text", 5])("may be anything that can be thrown: %j", (thrown) => {
    expect(formatError(thrown, 1, plain)).toContain(String(thrown));
    expect(JSON.parse(formatError(thrown, 1, { ...plain, json: true }))).toMatchObject({ error: { code: "bug" } });
  });
});

test("a secret shows itself nowhere but where it is asked to", () => {
  const secret = new Secret("AGE-SECRET-KEY-1X");
  const shown = [
    String(secret),
    `a ${secret as unknown as string}`,
    JSON.stringify({ secret }),
    inspect({ secret }, { showHidden: true }),
    "" + secret,
  ];
  expect(shown.join()).not.toContain("AGE-SECRET");
  expect(secret.reveal()).toBe("AGE-SECRET-KEY-1X");
});
