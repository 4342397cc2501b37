import { describe, expect, test } from "vitest";
import { assessStatus } from "../../src/status/assess-status.ts";
import { resolveThresholds } from "../../src/status/measures.ts";
import type { ThresholdSettings } from "../../src/status/measures.ts";
import type { StatusFacts } from "../../src/status/status-facts.ts";
import { clock } from "../restore/archive-builder.ts";
import { buildFacts, buildServer, healthyArchive, healthyNow, notAsked, verifyRecord } from "./status-builder.ts";
import { at27Hours, HOUR, lives, newer } from "./status-cases.ts";

describe("thresholds", () => {
  const judge = (warn: ThresholdSettings, crit: ThresholdSettings, changes: Partial<StatusFacts> = {}) =>
    assessStatus(buildFacts(changes), resolveThresholds(warn, crit));

  test.each([
    ["backup-age", HOUR, "warning backup-old"],
    ["window", 24 * HOUR, "warning window-short"],
    ["verify-age", 60_000, "warning verify-old"],
  ] as const)("%s raises a warning past its own", (name, value, expected) => {
    const { findings } = judge({ [name]: value }, {});
    expect(findings.map(({ severity, code }) => `${severity} ${code}`)).toEqual([expected]);
  });

  test("one that is off is silent, whatever the default says", () => {
    expect(judge({ "backup-age": "off" }, { "backup-age": "off" }, at27Hours(100 * HOUR)).findings).toEqual([]);
  });

  test("critical goes before warning, and a default stays where only the other was set", () => {
    expect(judge({}, { "backup-age": HOUR }).status).toBe("critical");
    expect(judge({ "backup-age": HOUR }, {}, at27Hours(60 * HOUR)).status).toBe("critical");
  });

  test("what the user wants watched and nobody can measure is named", () => {
    const unseen = { server: notAsked, backlog: notAsked };
    expect(judge({ backlog: 10 }, { "wal-lag": 1 }, unseen).unmeasured).toEqual(["wal-lag", "backlog"]);
    expect(judge({}, {}, unseen).unmeasured).toEqual([]);
  });

  test("what was never verified is as old as the cluster's record", () => {
    expect(judge({}, {}).measured["verify-age"]).toBe(healthyNow.getTime() - clock(0).getTime());
    const verified = lives(healthyArchive, { verified: verifyRecord({}) });
    expect(judge({}, {}, verified).measured["verify-age"]).toBe(healthyNow.getTime() - clock(9.5).getTime());
  });

  test("lag is what PostgreSQL has written past the last archived segment", () => {
    expect(judge({}, {}).measured["wal-lag"]).toBe(8 * 1024 * 1024);
    expect(judge({}, {}, { server: buildServer({ identity: newer }) }).measured["wal-lag"]).toBeUndefined();
  });
});
