/**
 * `npm run bench [-- options]`: runs bench/bench.ts, over the fresh build, as an ordinary user; `npm run bench -- stores` runs
 * bench/stores-bench.ts. What it compares with comes from Debian's packages, which are installed when this runs as root.
 */
import { asOrdinaryUser, isRoot } from "./as-ordinary-user.mjs";
import { installFromDebian, missingRequirements } from "./requirements.mjs";

const stores = process.argv[2] === "stores";
const needed = new Set(stores ? ["postgresql-15"] : ["pgbackrest", "postgresql-15"]);
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
  const args = stores
    ? ["bench/stores-bench.ts", ...process.argv.slice(3)]
    : ["bench/bench.ts", ...process.argv.slice(2)];
  process.exitCode = await asOrdinaryUser({ command: "node", args });
}
