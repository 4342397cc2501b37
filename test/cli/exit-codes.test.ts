import { describe, expect, test } from "vitest";
import { COMMAND_NAMES, commandIn } from "../../src/cli/command-names.ts";
import { EXIT, failureExitCode, FRONT_ANSWER, frontAnswer } from "../../src/cli/exit-codes.ts";
import { PgarkError } from "../../src/errors.ts";
import type { ErrorCode } from "../../src/errors.ts";

const CODES: readonly ErrorCode[] = [
  "usage", "not-found", "no-cluster", "exists", "denied", "throttled", "unavailable", "corrupt", "conflict",
  "identity-mismatch", "no-identity", "newer-format", "refused", "postgres", "io", "aborted",
]; // prettier-ignore
const error = (code: ErrorCode): PgarkError => new PgarkError(code, "problem", { operation: "test" });
const failures = [
  ...CODES.map((code) => [code, error(code)] as const),
  ["a bug", new TypeError("x")] as const,
  ["nothing", undefined] as const,
];

describe("wal-fetch", () => {
  test.each(failures)("%s stops an archive recovery and never reads as the end of the archive", (_name, failure) => {
    expect(failureExitCode(failure, { command: "wal-fetch", standby: false, stoppedBy: undefined })).toBe(200);
  });
  test.each(failures)("%s does not stop a standby", (_name, failure) => {
    expect(failureExitCode(failure, { command: "wal-fetch", standby: true, stoppedBy: undefined })).toBe(2);
  });
  test("SIGTERM says 143", () => {
    expect(failureExitCode(error("aborted"), { command: "wal-fetch", standby: true, stoppedBy: "SIGTERM" })).toBe(143);
  });
});

test.each(failures)("wal-push says 1 for %s", (_name, failure) => {
  expect(failureExitCode(failure, { command: "wal-push", standby: false, stoppedBy: undefined })).toBe(1);
});

test.each(failures)(
  "without a command, %s says 127, which no restore_command takes for an answer",
  (_name, failure) => {
    expect(failureExitCode(failure, { command: undefined, standby: false, stoppedBy: undefined })).toBe(127);
  },
);

test.each([
  ["usage", 2],
  ["refused", 4],
  ["not-found", 5],
  ["no-cluster", 5],
  ["unavailable", 6],
  ["throttled", 6],
  ["corrupt", 7],
  ["conflict", 7],
  ["denied", 8],
  ["no-identity", 8],
  ["io", 1],
] as const)("an ordinary command says %s with %i", (code, exit) => {
  expect(failureExitCode(error(code), { command: "list", standby: false, stoppedBy: undefined })).toBe(exit);
});

test("a bug is 1, and SIGINT is 130", () => {
  expect(failureExitCode(new Error("x"), { command: "list", standby: false, stoppedBy: undefined })).toBe(EXIT.failed);
  expect(failureExitCode(error("aborted"), { command: "backup", standby: false, stoppedBy: "SIGINT" })).toBe(130);
});

describe("answers to the front", () => {
  test.each([
    ["wal-push", 0, FRONT_ANSWER.done],
    ["wal-push", 1, FRONT_ANSWER.failed],
    ["wal-push", 143, 143],
    ["wal-fetch", 0, FRONT_ANSWER.done],
    ["wal-fetch", 1, FRONT_ANSWER.absent],
    ["wal-fetch", 200, FRONT_ANSWER.failed],
    ["wal-fetch", 2, FRONT_ANSWER.failed],
    ["wal-fetch", 130, 130],
  ])("%s ending with %i answers %i", (command, code, answer) => expect(frontAnswer(command, code)).toBe(answer));
});

test("the command is found behind misplaced options", () => {
  expect(commandIn(["--config", "/x", "wal-fetch", "a", "b"])).toBe("wal-fetch");
  expect(commandIn(["wal-fech", "a"])).toBeUndefined();
  for (const name of COMMAND_NAMES) expect(commandIn([name])).toBe(name);
});
