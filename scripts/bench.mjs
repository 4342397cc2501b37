/**
 * `npm run bench [-- options]`: runs bench/bench.ts, over the fresh build, as an ordinary user; `npm run bench -- stores` runs
 * bench/stores-bench.ts, `npm run bench -- large` bench/large-bench.ts. What they compare with comes from Debian's packages,
 * which are installed when this runs as root.
 */
import { asOrdinaryUser, isRoot } from "./as-ordinary-user.mjs";
import { installFromDebian, missingRequirements } from "./requirements.mjs";

/** By the first argument: what is run, and what it needs. */
const benches = {
  stores: { file: "bench/stores-bench.ts", needs: ["postgresql-15"] },
  large: { file: "bench/large-bench.ts", needs: [] },
};
const named = benches[process.argv[2]];
const { file, needs } = named ?? { file: "bench/bench.ts", needs: ["pgbackrest", "postgresql-15"] };
const needed = new Set(needs);
const missingNow = () => missingRequirements().filter(({ name }) => needed.has(name));

let missing = missingNow();
if (missing.length > 0 && isRoot) {
  console.log(`installing what the bench needs: ${missing.map(({ name }) => name).join(", ")}`);
  installFromDebian(missing);
  missing = missingNow();
}
if (missing.length > 0) {
  const packages = missing.flatMap((requirement) => requirement.packages);
  console.error(`missing: ${missing.map(({ name }) => name).join(", ")}`);
  console.error(`install it first: apt-get install --no-install-recommends ${packages.join(" ")}`);
  process.exitCode = 1;
} else {
  const args = [file, ...process.argv.slice(named === undefined ? 2 : 3)];
  process.exitCode = await asOrdinaryUser({ command: "node", args });
}
