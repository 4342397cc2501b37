import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { parser } from "@prometheus-io/lezer-promql";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { assessStatus } from "../../src/status/assess-status.ts";
import { thresholdText } from "../../src/cli/threshold-text.ts";
import { MEASURE_NAMES, MEASURES, resolveThresholds } from "../../src/status/measures.ts";
import type { MeasureSpec } from "../../src/status/measures.ts";
import { renderMetrics } from "../../src/status/render-metrics.ts";
import { statusMetrics } from "../../src/status/status-metrics.ts";
import { projectDirectory } from "../helpers/project.ts";
import { fullFacts } from "../status/status-builder.ts";

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly for?: string;
  readonly labels: { readonly severity: string };
  readonly annotations: { readonly summary: string; readonly description: string };
}

interface Dashboard {
  readonly templating: { readonly list: readonly { readonly name: string; readonly query: unknown }[] };
  readonly panels: readonly {
    readonly id: number;
    readonly title: string;
    readonly targets: readonly { readonly expr: string; readonly legendFormat: string }[];
  }[];
}

const shipped = (name: string): Promise<string> => readFile(join(projectDirectory, "monitoring", name), "utf8");
const rules = (
  parse(await shipped("alerts.yml")) as { readonly groups: readonly { readonly rules: readonly Rule[] }[] }
).groups.flatMap((group) => group.rules);
const dashboard = JSON.parse(await shipped("dashboard.json")) as Dashboard;

/** What `pgark metrics` prints of a cluster of which everything is known: names, and the labels of each. */
async function printedMetrics(): Promise<ReadonlyMap<string, ReadonlySet<string>>> {
  const facts = fullFacts();
  const assessment = assessStatus(facts, resolveThresholds({}, {}));
  const collection = { version: "1", cluster: "main", success: true, finished: facts.now, durationMs: 5 };
  const names = new Map<string, Set<string>>();
  const text = await renderMetrics(statusMetrics(collection, { facts, assessment }));
  for (const [, name = "", labels = ""] of text.matchAll(/^(\w+)\{(.*)\} \S+$/gm)) {
    const known = names.get(name) ?? new Set();
    for (const [, label = ""] of labels.matchAll(/(\w+)="/g)) known.add(label);
    names.set(name, known);
  }
  return names;
}

const printed = await printedMetrics();

/** The names of metrics in an expression, with the labels that are asked for; fails where it is no PromQL. */
function metricsOf(expression: string): readonly { readonly name: string; readonly labels: readonly string[] }[] {
  const found: { name: string; labels: string[] }[] = [];
  const text = (node: { readonly from: number; readonly to: number }): string => expression.slice(node.from, node.to);
  parser.parse(expression).iterate({
    enter(node) {
      if (node.type.isError) throw new Error(`not PromQL at ${node.from}: ${expression}`);
      if (node.name === "Identifier") found.push({ name: text(node), labels: [] });
      if (node.name === "LabelName") found.at(-1)?.labels.push(text(node));
    },
  });
  return found;
}

function expectKnown(expression: string): void {
  const metrics = metricsOf(expression);
  expect(metrics.length, expression).toBeGreaterThan(0);
  for (const { name, labels } of metrics) {
    expect([...printed.keys()], expression).toContain(name);
    for (const label of labels) expect([...(printed.get(name) ?? [])], expression).toContain(label);
  }
}

test("the reader of expressions finds names and labels, and refuses what is none", () => {
  expect(metricsOf('rate(a_total{b="c",d=~"e"}[5m]) > 2 or f')).toEqual([
    { name: "a_total", labels: ["b", "d"] },
    { name: "f", labels: [] },
  ]);
  expect(() => metricsOf("a >> 2")).toThrow("not PromQL");
});

describe("alert rules", () => {
  test.each(rules.map((rule) => [rule.alert, rule] as const))("%s asks for metrics that there are", (_name, rule) => {
    expectKnown(rule.expr);
    expect(rule.alert).toMatch(/^Pgark[A-Z]/);
    expect(rule.for ?? "1m").toMatch(/^\d+[smhd]$/);
    expect(["critical", "warning"]).toContain(rule.labels.severity);
    expect(rule.annotations.summary).toContain("{{ $labels.cluster }}");
    expect(rule.annotations.description.length).toBeGreaterThan(10);
  });

  test("each has a name of its own, and the codes they ask for are those of findings", async () => {
    expect(new Set(rules.map(({ alert }) => alert)).size).toBe(rules.length);
    const codes = rules.flatMap(({ expr }) =>
      [...expr.matchAll(/code=~?"([^"]+)"/g)].flatMap(([, list = ""]) => list.split("|")),
    );
    const source = await readFile(join(projectDirectory, "src/status/finding.ts"), "utf8");
    expect(codes.length).toBeGreaterThan(2);
    for (const code of codes) expect(source).toContain(`| "${code}"`);
  });
});

describe("the dashboard", () => {
  test.each(dashboard.panels.map((panel) => [`${panel.id} ${panel.title}`, panel] as const))(
    "panel %s asks for metrics that there are",
    (_name, panel) => {
      expect(panel.targets.length).toBeGreaterThan(0);
      for (const { expr, legendFormat } of panel.targets) {
        expectKnown(expr);
        const labels = new Set(metricsOf(expr).flatMap(({ name }) => [...(printed.get(name) ?? [])]));
        for (const [, label = ""] of legendFormat.matchAll(/\{\{(\w+)\}\}/g)) expect([...labels]).toContain(label);
        expect(expr).toContain('cluster="$cluster"');
      }
    },
  );

  test("its list of clusters comes from a metric that there is", () => {
    const [, name = ""] = /label_values\((\w+), cluster\)/.exec(JSON.stringify(dashboard.templating)) ?? [];
    expect(printed.get(name)).toContain("cluster");
    expect(new Set(dashboard.panels.map(({ id }) => id)).size).toBe(dashboard.panels.length);
  });
});

test("the package ships them", async () => {
  const { files } = JSON.parse(await readFile(join(projectDirectory, "package.json"), "utf8")) as {
    files: readonly string[];
  };
  expect(files).toContain("monitoring");
});

test("docs/monitoring.md names every metric and every kind of finding, and no others", async () => {
  const text = await readFile(join(projectDirectory, "docs/monitoring.md"), "utf8");
  const source = await readFile(join(projectDirectory, "src/status/finding.ts"), "utf8");
  const codes = [...source.matchAll(/^ {2}\| "([a-z-]+)"/gm)].map(([, code = ""]) => code);
  const table = (head: string): readonly string[] => {
    const rows = text.slice(text.indexOf(head)).split("\n\n", 1)[0]?.split("\n").slice(2) ?? [];
    return rows.flatMap((row) => [...(row.split("|")[1] ?? "").matchAll(/`([a-z_-]+)`/g)].map(([, name = ""]) => name));
  };
  expect(table("| metric |").toSorted()).toEqual([...printed.keys()].toSorted());
  expect(table("| code |").toSorted()).toEqual(codes.toSorted());
});

test("docs/monitoring.md gives the thresholds that count", async () => {
  const text = await readFile(join(projectDirectory, "docs/monitoring.md"), "utf8");
  for (const name of MEASURE_NAMES) {
    const spec: MeasureSpec = MEASURES[name];
    const row = new RegExp(`^\\| \`${name}\` \\|[^|]+\\| (\\w+) \\| (\\w+) \\|$`, "m").exec(text);
    const [, warn, crit] = row ?? [];
    expect([name, warn, crit]).toEqual([name, thresholdText(spec, spec.warn), thresholdText(spec, spec.crit)]);
  }
});
