import { describe, expect, test } from "vitest";
import type { ClusterIdentity } from "../../src/postgres/cluster-identity.ts";
import { assessStatus } from "../../src/status/assess-status.ts";
import { resolveThresholds } from "../../src/status/measures.ts";
import type { StatusFacts } from "../../src/status/status-facts.ts";
import { buildFacts, buildLife, buildServer, healthyArchive, notAsked } from "./status-builder.ts";
import { CASES, HOUR, lives, unfinished } from "./status-cases.ts";

const defaults = resolveThresholds({}, {});

/** "critical conflict": severity and code of each finding, worst first. */
function found(facts: StatusFacts, thresholds = defaults): readonly string[] {
  return assessStatus(facts, thresholds).findings.map(({ severity, code }) => `${severity} ${code}`);
}

const earlier: ClusterIdentity = { majorVersion: 16, systemIdentifier: 7_300_000_000_000_000_000n };

describe("status", () => {
  test.each(CASES)("%s", (_title, changes, expected) => {
    expect(found(buildFacts(changes))).toEqual(expected);
  });

  test("each finding says in a sentence what is wrong and what to do, and names its object", () => {
    for (const [title, changes] of CASES) {
      for (const { problem, todo, severity } of assessStatus(buildFacts(changes), defaults).findings) {
        expect(problem, title).toMatch(/^[^A-Z].*[^.]$|^(WAL|PostgreSQL) .*[^.]$/s);
        expect(todo.length, title).toBeGreaterThan(severity === "info" ? 3 : 20);
        expect(`${problem}${todo}`, title).not.toMatch(/undefined|NaN|\[object/);
      }
    }
  });

  test("the worst comes first, and gives the status", () => {
    const facts = buildFacts({
      ...lives(healthyArchive, { damaged: [{ label: "20261120T010000Z", problem: "x" }] }),
      server: buildServer({ archiveMode: "off" }),
    });
    const { status, findings } = assessStatus(facts, defaults);
    expect([status, ...findings.map(({ severity }) => severity)]).toEqual(["critical", "critical", "warning"]);
    expect(assessStatus(buildFacts(), defaults).status).toBe("ok");
    expect(assessStatus(buildFacts(unfinished(3 * HOUR)), defaults).status).toBe("ok");
  });

  test("the life before an upgrade may be old, but a hole in it is still told", () => {
    const old = buildLife(
      { wal: { 1: "1-5 7-9" }, backups: [{ label: "20251120T002000Z", start: 2.1, stop: 3.2 }] },
      {},
    );
    const past = { ...old, catalog: { ...old.catalog, identity: earlier } };
    expect(found(buildFacts({ lives: [past, buildLife()] }))).toEqual(["warning newest-lost", "warning hole"]);
    const whole = buildLife(healthyArchive);
    const quiet = { ...whole, catalog: { ...whole.catalog, identity: earlier } };
    expect(found(buildFacts({ lives: [quiet, buildLife()] }))).toEqual([]);
  });

  test("of very many holes some are named, and the others counted", () => {
    const wal = Array.from({ length: 30 }, (_, index) => 4 + 2 * index).join(" ");
    const { findings } = assessStatus(
      buildFacts({ ...lives({ ...healthyArchive, wal: { 1: `1-3 ${wal}` } }), server: notAsked }),
      defaults,
    );
    const holes = findings.filter(({ code }) => code === "hole");
    expect(holes).toHaveLength(21);
    expect(holes.at(-1)?.problem).toBe("and 9 more holes in the WAL");
  });

  test("a hole's line says which moments are lost", () => {
    const facts = buildFacts(
      lives({
        wal: { 1: "1-5 7-9" },
        backups: [...healthyArchive.backups, { label: "20261120T011000Z", start: 7.1, stop: 8.2 }],
      }),
    );
    const [hole] = assessStatus(facts, defaults).findings;
    expect(hole?.object).toBe("000000010000000000000006");
    expect(hole?.problem).toBe(
      "WAL segment 000000010000000000000006 is missing: " +
        "moments between 2026-11-20 01:00:00 UTC and 2026-11-20 01:22:00 UTC cannot be restored",
    );
  });
});
