/**
 * closing-line.mjs <report of vitest's JSON reporter> [failed step...]: prints "N passed, N failed[, N skipped]" as its last
 * line, and exits with 1 if anything failed. A failed step counts as one failure, unless its failures are in the report.
 */
import { existsSync, readFileSync } from "node:fs";

const [report = "", ...failedSteps] = process.argv.slice(2);
for (const step of failedSteps) console.log(`failed: ${step}`);

let [passed, failed, skipped] = [0, 0, 0];
if (existsSync(report)) {
  const results = JSON.parse(readFileSync(report, "utf8"));
  passed = results.numPassedTests;
  failed = results.numFailedTests;
  skipped = results.numPendingTests + results.numTodoTests;
  // A file that could not even be loaded has no tests that failed.
  for (const { name, status, assertionResults } of results.testResults) {
    if (status !== "failed" || assertionResults.some((test) => test.status === "failed")) continue;
    console.log(`failed outside of its tests: ${name}`);
    failed++;
  }
} else if (failedSteps.length === 0) {
  console.log("no tests were run");
  failed++;
}
const inReport = failed > 0 ? failedSteps.filter((step) => step !== "npm test") : failedSteps;
failed += inReport.length;
console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`);
process.exitCode = failed > 0 ? 1 : 0;
