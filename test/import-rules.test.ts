import { execFile } from "node:child_process";
import { cp, mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { beforeAll, describe, expect, test } from "vitest";
import { projectDirectory } from "./helpers/project.ts";
import { temporaryDirectory } from "./helpers/temp.ts";

const run = promisify(execFile);

/** Folder of src -> the folders it may import from, besides itself and the files in the root of src. */
const layers = {
  postgres: [],
  storage: [],
  repository: ["postgres", "storage"],
  spool: ["postgres"],
  archive: ["postgres", "storage", "repository", "spool"],
  restore: ["postgres", "storage", "repository", "spool"],
  retention: ["postgres", "storage", "repository"],
  verify: ["postgres", "storage", "repository"],
  status: ["postgres", "storage", "repository"],
  cli: ["postgres", "storage", "repository", "spool", "archive", "restore", "retention", "verify", "status"],
} as const;
type Layer = keyof typeof layers;
const names = Object.keys(layers) as Layer[];

const imports = names.flatMap((from) =>
  names
    .filter((to) => to !== from)
    .map((to) => ({ from, to, allowed: (layers[from] as readonly string[]).includes(to) })),
);

/** File -> what it holds. The whole tree is linted once. */
const planted: Record<string, string> = {
  "src/root-file.ts": `export const x = 1;\n`,
  "src/root-to-root.ts": `import { x } from "./root-file.ts";\nexport const y = x;\n`,
  "src/root-to-layer.ts": `import { x } from "./storage/target.ts";\nexport const y = x;\n`,
  "src/root-to-test.ts": `import { x } from "../test/target.ts";\nexport const y = x;\n`,
  "src/cli/deep/inside/to-test.ts": `import { x } from "../../../../test/target.ts";\nexport const y = x;\n`,
  "src/storage/deep/inside/upward.ts": `import { x } from "../../../restore/target.ts";\nexport const y = x;\n`,
  "src/storage/deep/inside/to-own-layer.ts": `import { x } from "../../target.ts";\nexport const y = x;\n`,
  "src/storage/type-upward.ts": `import type { X } from "../cli/target.ts";\nexport type Y = X;\n`,
  "src/storage/reexport-upward.ts": `export { x } from "../cli/target.ts";\n`,
  "src/storage/dynamic-upward.ts": `export const x = await import("../cli/target.ts");\n`,
  "src/storage/type-annotation-upward.ts": `export type Y = import("../cli/target.ts").X;\n`,
  "src/storage/exits.ts": `export const f = (): never => process.exit(1);\n`,
  "src/storage/reads-environment.ts": `export const home = process.env["HOME"];\n`,
  "src/storage/takes-environment-apart.ts": `const { env } = process;\nexport const home = env["HOME"];\n`,
  "src/storage/imports-process.ts": `import { env } from "node:process";\nexport const home = env["HOME"];\n`,
  "src/cli/reads-environment.ts": `export const home = process.env["HOME"];\nprocess.exit(1);\n`,
  "src/cli/imports-barrel.ts": `import { x } from "../storage/index.ts";\nexport const y = x;\n`,
  "src/storage/index.ts": `export * from "./target.ts";\n`,
  "src/archive/default-export.ts": `export default 1;\n`,
};
const forbidden = [
  "src/root-to-layer.ts",
  "src/root-to-test.ts",
  "src/cli/deep/inside/to-test.ts",
  "src/storage/deep/inside/upward.ts",
  "src/storage/type-upward.ts",
  "src/storage/reexport-upward.ts",
  "src/storage/dynamic-upward.ts",
  "src/storage/type-annotation-upward.ts",
  "src/storage/exits.ts",
  "src/storage/reads-environment.ts",
  "src/storage/takes-environment-apart.ts",
  "src/storage/imports-process.ts",
  "src/cli/imports-barrel.ts",
  "src/storage/index.ts",
  "src/archive/default-export.ts",
];

let violations: ReadonlySet<string>;

beforeAll(async () => {
  const { path } = await temporaryDirectory("import-rules");
  await cp(join(projectDirectory, ".oxlintrc.json"), join(path, ".oxlintrc.json"));
  const files: Record<string, string> = { ...planted, "test/target.ts": `export const x = 1;\n` };
  for (const layer of names) files[`src/${layer}/target.ts`] = `export const x = 1;\nexport type X = 1;\n`;
  for (const { from, to } of imports) {
    files[`src/${from}/to-${to}.ts`] = `import { x } from "../${to}/target.ts";\nexport const y = x;\n`;
  }
  for (const [file, content] of Object.entries(files)) {
    await mkdir(join(path, dirname(file)), { recursive: true });
    await writeFile(join(path, file), content);
  }
  violations = await lint(path);
});

/** The files in which oxlint, with this project's rules, finds an error. */
async function lint(directory: string): Promise<ReadonlySet<string>> {
  const oxlint = join(projectDirectory, "node_modules/.bin/oxlint");
  // It fails, as it finds errors; that it found none would fail the tests below.
  const script = `"${oxlint}" --format=json src || true`;
  const { stdout } = await run("sh", ["-c", script], { cwd: directory });
  const { diagnostics } = JSON.parse(stdout) as {
    readonly diagnostics: readonly { readonly filename: string; readonly severity: string }[];
  };
  return new Set(diagnostics.filter(({ severity }) => severity === "error").map(({ filename }) => filename));
}

describe("the lint rules", () => {
  test.each(imports.filter(({ allowed }) => allowed))("let $from import $to", ({ from, to }) => {
    expect(violations).not.toContain(`src/${from}/to-${to}.ts`);
  });

  test.each(imports.filter(({ allowed }) => !allowed))("do not let $from import $to", ({ from, to }) => {
    expect(violations).toContain(`src/${from}/to-${to}.ts`);
  });

  test.each(forbidden)("refuse %s", (file) => {
    expect(violations).toContain(file);
  });

  test.each(Object.keys(planted).filter((file) => !forbidden.includes(file)))("accept %s", (file) => {
    expect(violations).not.toContain(file);
  });
});
