import { describe, expect, test } from "vitest";
import { checkLine, checkStatus, unknownLine } from "../../src/cli/check-line.ts";
import { CHECK_EXIT, failureExitCode } from "../../src/cli/exit-codes.ts";
import { isMonitoring } from "../../src/cli/command-names.ts";
import { PgarkError } from "../../src/errors.ts";
import { assessStatus } from "../../src/status/assess-status.ts";
import { resolveThresholds } from "../../src/status/measures.ts";
import type { ThresholdSettings } from "../../src/status/measures.ts";
import type { StatusFacts } from "../../src/status/status-facts.ts";
import { buildFacts, buildServer, failingArchiver, notAsked } from "../status/status-builder.ts";

function judge(changes: Partial<StatusFacts>, warn: ThresholdSettings = {}, crit: ThresholdSettings = {}) {
  return assessStatus(buildFacts(changes), resolveThresholds(warn, crit));
}

describe("the line for monitoring", () => {
  test("says that all is well, with what was measured and the thresholds in seconds and bytes", () => {
    expect(checkLine("main", judge({}, { window: 3_600_000 }))).toBe(
      "PGARK OK - main: all is well | backup-age=4320s;93600;266400 wal-age=240s;86400;259200 " +
        "wal-lag=8388608B;1073741824;10737418240 backlog=0;100;1000 backlog-age=0s;600;3600 window=4080s;3600:; " +
        "verify-age=6240s;;\n",
    );
  });

  test("names the worst problem and counts the others", () => {
    const changes = { server: buildServer({ clockAheadMs: 120_000 }, failingArchiver) };
    expect(checkLine("main", judge(changes))).toMatch(
      /^PGARK WARNING - main: .*clock is 2 min 00 s ahead.* \(and 1 more: pgark status\) \| backup-age=/,
    );
  });

  test("has one line and one bar, whatever a problem says", () => {
    const server = { known: false, why: "not asked: a |\n b", expected: true } as const;
    expect(checkLine("main", judge({ server }))).toMatch(/^PGARK WARNING - main: not asked: a \/ b \| [^|\n]*\n$/);
    expect(unknownLine("first\n second")).toBe("PGARK UNKNOWN - first second\n");
  });
});

describe("the exit code for monitoring", () => {
  const unseen = { server: notAsked, backlog: notAsked };

  test.each([
    ["ok", {}, {}, 0],
    ["warning", { server: buildServer({ clockAheadMs: 120_000 }) }, {}, 1],
    ["critical", { server: buildServer({ archiveMode: "off" }) }, {}, 2],
    ["unknown", unseen, { backlog: 5 }, 3],
    ["ok without thresholds of one's own", unseen, {}, 0],
    ["critical before unknown", { ...unseen, lives: [] }, { backlog: 5 }, 2],
  ] as const)("is that of a plugin: %s", (_title, changes, warn, code) => {
    expect(CHECK_EXIT[checkStatus(judge(changes, warn))]).toBe(code);
  });

  test("no failure reads as a warning or as critical", () => {
    const context = { command: "status", standby: false, stoppedBy: undefined, monitoring: true };
    for (const code of ["usage", "unavailable", "io", "no-cluster"] as const) {
      expect(failureExitCode(new PgarkError(code, "x", { operation: "x" }), context)).toBe(3);
    }
    expect(failureExitCode(new Error("a bug"), context)).toBe(3);
    expect(failureExitCode(new PgarkError("io", "x", { operation: "x" }), { ...context, monitoring: false })).toBe(1);
  });

  test("is meant by status --check alone", () => {
    expect(isMonitoring(["status", "--check", "--warn", "x"])).toBe(true);
    expect(isMonitoring(["status", "--json"])).toBe(false);
    expect(isMonitoring(["list", "--check"])).toBe(false);
  });
});
