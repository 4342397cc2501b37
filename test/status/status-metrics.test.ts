import { expect, test } from "vitest";
import { assessStatus } from "../../src/status/assess-status.ts";
import { resolveThresholds } from "../../src/status/measures.ts";
import { renderMetrics } from "../../src/status/render-metrics.ts";
import { statusMetrics } from "../../src/status/status-metrics.ts";
import type { StatusFacts } from "../../src/status/status-facts.ts";
import { buildFacts, buildLife, fullFacts, healthyNow, notAsked } from "./status-builder.ts";

const collection = { version: "1.2.3", cluster: "main", success: true, finished: healthyNow, durationMs: 1500 };

/** Without help and types: what Prometheus would store. */
async function samplesOf(facts: StatusFacts): Promise<readonly string[]> {
  const found = { facts, assessment: assessStatus(facts, resolveThresholds({}, {})) };
  const text = await renderMetrics(statusMetrics(collection, found));
  return text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
}

const life = 'cluster="main",identity="17-7412345678901234567"';

test("what status measures are samples in seconds and bytes", async () => {
  const samples = await samplesOf(buildFacts());
  for (const sample of [
    'pgark_build_info{cluster="main",version="1.2.3"} 1',
    'pgark_collect_duration_seconds{cluster="main"} 1.5',
    'pgark_status{cluster="main"} 0',
    `pgark_last_backup_age_seconds{${life}} 4320`,
    `pgark_last_backup_duration_seconds{${life}} 660`,
    `pgark_last_wal_age_seconds{${life}} 240`,
    `pgark_wal_lag_bytes{${life}} 8388608`,
    `pgark_wal_segments{${life}} 9`,
    `pgark_recovery_window_stretches{${life},timeline="1"} 1`,
    `pgark_archiver_archived_total{${life}} 9`,
    `pgark_repository_bytes{${life},kind="backups"} 5000000`,
  ]) {
    expect(samples).toContain(sample);
  }
});

test("what is not known is left out, but its name and meaning are there", async () => {
  const facts = buildFacts({ server: notAsked, backlog: notAsked });
  const samples = await samplesOf(facts);
  for (const name of ["pgark_server_up", "pgark_wal_lag_bytes", "pgark_wal_backlog_files", "pgark_verify_faults"]) {
    expect(samples.filter((line) => line.startsWith(name))).toEqual([]);
    const found = { facts, assessment: assessStatus(facts, resolveThresholds({}, {})) };
    expect(await renderMetrics(statusMetrics(collection, found))).toContain(`# TYPE ${name} gauge`);
  }
});

test("findings are counted by code, severity and life", async () => {
  const wal = { 1: "1-3 5 7 9" };
  const facts = buildFacts({
    lives: [buildLife({ wal, backups: [{ label: "20261120T002000Z", start: 2.1, stop: 3.2 }] })],
  });
  expect(await samplesOf(facts)).toContain(
    'pgark_findings{cluster="main",code="hole",severity="warning",identity="17-7412345678901234567"} 3',
  );
});

test("a look that failed says so and nothing else", async () => {
  const text = await renderMetrics(statusMetrics({ ...collection, success: false }, undefined));
  expect(text).toContain('pgark_collect_success{cluster="main"} 0');
  expect(text).not.toMatch(/pgark_(?!build_info|collect_)/);
});

test("every line is of the text format, and every metric has a help and a type", async () => {
  const facts = fullFacts();
  const odd = { ...facts, cluster: 'a"b\\c\nd' };
  const found = { facts: odd, assessment: assessStatus(odd, resolveThresholds({}, {})) };
  const text = await renderMetrics(statusMetrics({ ...collection, cluster: odd.cluster }, found));
  expect(text.endsWith("\n")).toBe(true);
  const name = /^(?:# (?:HELP|TYPE) )?(pgark_[a-z_]+)/;
  const sample = /^pgark_[a-z_]+\{(?:[a-z_]+="(?:[^"\\\n]|\\["\\n])*",?)+\} -?[\d.e+]+$/;
  const lines = text.split("\n").filter((line) => line !== "");
  for (const line of lines) expect(line).toMatch(line.startsWith("#") ? /^# (HELP|TYPE) pgark_[a-z_]+ \S/ : sample);
  for (const metric of new Set(lines.map((line) => name.exec(line)?.[1]))) {
    expect(
      lines.filter((line) => line.startsWith(`# HELP ${metric} `)),
      metric,
    ).toHaveLength(1);
    expect(
      lines.filter((line) => line.startsWith(`# TYPE ${metric} `)),
      metric,
    ).toHaveLength(1);
  }
});
