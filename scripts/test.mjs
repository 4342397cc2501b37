/**
 * `npm test [-- vitest's arguments]`: installs what is missing from Debian's packages (as root) and runs the tests, over the
 * fresh build, as an ordinary user. Without root, or where Debian has no such package, the suites that need it are left out,
 * each with its reason; with CI=true they fail instead. PGARK_TEST_REPORT names a file for vitest's JSON report.
 */
import { existsSync } from "node:fs";
import { copyFile } from "node:fs/promises";
import { join } from "node:path";
import { asOrdinaryUser, isRoot } from "./as-ordinary-user.mjs";
import { installFromDebian, missingRequirements } from "./requirements.mjs";

const inCi = process.env.CI === "true";

let missing = missingRequirements();
if (missing.length > 0 && isRoot) {
  console.log(`installing what the tests need: ${missing.map(({ name }) => name).join(", ")}`);
  installFromDebian(missing);
  missing = missingRequirements();
}
for (const { name, without } of missing) {
  console.log(`${name} is missing: ${inCi ? "tests fail for" : "tests leave out"} ${without}`);
}
if (missing.length > 0 && !isRoot) {
  const packages = missing.flatMap((requirement) => requirement.packages.map((names) => [names].flat()[0]));
  console.log(`to run them all: apt-get install --no-install-recommends ${packages.join(" ")}`);
}

const report = process.env.PGARK_TEST_REPORT;
const reporters = `--reporter=default --reporter=json --outputFile.json="$PGARK_RUN_DIRECTORY/report.json"`;
process.exitCode = await asOrdinaryUser({
  command: "sh",
  args: [
    "-c",
    `exec vitest run --configLoader=native ${report === undefined ? "" : reporters} "$@"`,
    "vitest",
    ...process.argv.slice(2),
  ],
  env: { PGARK_TEST_MISSING: missing.map(({ name }) => name).join(","), CI: inCi ? "true" : undefined },
  collect: async (directory) => {
    const written = join(directory, "report.json");
    if (report !== undefined && existsSync(written)) await copyFile(written, report);
  },
});
