import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Ajv2020 } from "ajv/dist/2020.js";
import { expect, test } from "vitest";
import { STATUS_SCHEMA, statusJson } from "../../src/cli/status-json.ts";
import { assessStatus } from "../../src/status/assess-status.ts";
import { resolveThresholds } from "../../src/status/measures.ts";
import type { StatusFacts } from "../../src/status/status-facts.ts";
import { projectDirectory } from "../helpers/project.ts";
import { buildFacts, buildLife, fullFacts, notAsked } from "../status/status-builder.ts";

const schema = JSON.parse(await readFile(join(projectDirectory, "docs/status.schema.json"), "utf8")) as object;

/** The schema with a demand that readers must not make: no field but those that it names. */
function closed(part: unknown): unknown {
  if (Array.isArray(part)) return part.map(closed);
  if (typeof part !== "object" || part === null) return part;
  const copy = Object.fromEntries(Object.entries(part).map(([name, value]) => [name, closed(value)]));
  return "properties" in copy && copy["type"] === "object" ? { ...copy, additionalProperties: false } : copy;
}

const ajv = new Ajv2020({ allErrors: true, strictTypes: false });
const validate = ajv.compile(closed(schema) as object);

function jsonOf(facts: StatusFacts): unknown {
  const json = statusJson(facts, assessStatus(facts, resolveThresholds({ window: 1000 }, {})));
  return JSON.parse(JSON.stringify(json));
}

const cases: readonly (readonly [string, StatusFacts])[] = [
  ["all is well", buildFacts()],
  ["everything is known, and much is wrong", fullFacts()],
  ["nothing is known but the cluster", buildFacts({ lives: [], server: notAsked, backlog: notAsked })],
  ["there are no backups", buildFacts({ lives: [buildLife({ wal: {}, backups: [] })] })],
];

test.each(cases)("the schema describes every field of a status where %s", (_title, facts) => {
  validate(jsonOf(facts));
  expect(validate.errors).toBeNull();
});

test("the schema notices a field that is missing, one of another type, and one that nobody described", () => {
  const good = jsonOf(fullFacts()) as Record<string, unknown>;
  for (const bad of [
    { ...good, status: "fine" },
    { ...good, time: undefined },
    { ...good, lives: {} },
    { ...good, more: 1 },
  ]) {
    expect(validate(JSON.parse(JSON.stringify(bad))), JSON.stringify(bad)).toBe(false);
  }
});

test("durations are seconds, sizes bytes, and what is not known is null", () => {
  const { measures } = jsonOf(buildFacts({ server: notAsked })) as { measures: Record<string, unknown> };
  expect(measures["window"]).toMatchObject({ unit: "seconds", alarm: "below", warn: 1, crit: null });
  expect(measures["backup-age"]).toMatchObject({ value: 72 * 60, unit: "seconds" });
  expect(measures["wal-lag"]).toMatchObject({ value: null, unit: "bytes", warn: 2 ** 30 });
});

test("it says which version of the schema it is", () => {
  expect(jsonOf(buildFacts())).toMatchObject({ schema: STATUS_SCHEMA });
  expect(JSON.stringify(schema)).toContain(`"schema":{"const":${STATUS_SCHEMA}}`);
});
