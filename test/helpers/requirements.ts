import { describe, test } from "vitest";

/** Programs that npm does not bring; scripts/requirements.mjs knows how to tell and where to get them. */
export type Requirement =
  | "age"
  | "zstd"
  | "b3sum"
  | "pgbackrest"
  | "postgresql-15"
  | "pg-tools-18"
  | "radosgw"
  | "setpriv"
  | "busybox"
  | "mounts";

/**
 * `describe` for a suite that needs programs which may not be installed. `npm test` has looked (PGARK_TEST_MISSING): without
 * them the suite is left out and says so, or, in CI, fails. Run by vitest directly, the suite runs, come what may.
 */
export function describeWith(requirements: readonly Requirement[], title: string, suite: () => void): void {
  const missing = missingOf(requirements, process.env["PGARK_TEST_MISSING"]);
  if (missing.length === 0) {
    describe(title, suite);
  } else if (process.env["CI"] === "true") {
    describe(title, () => {
      test(`finds ${missing.join(", ")} installed`, () => {
        throw new Error(`${missing.join(", ")} not installed, and in CI nothing is left out`);
      });
    });
  } else {
    console.warn(`left out, because ${missing.join(", ")} is not installed: ${title}`);
    describe.skip(title, suite);
  }
}

/** Those of `requirements` that the comma-separated list `missing` names. */
export function missingOf(requirements: readonly Requirement[], missing = ""): readonly Requirement[] {
  const names = missing.split(",");
  return requirements.filter((requirement) => names.includes(requirement));
}
