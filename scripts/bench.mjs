/**
 * `npm run bench [-- options]`: runs bench/bench.ts, over the fresh build, as an ordinary user; `npm run bench -- stores` runs
 * bench/stores-bench.ts, `-- wal` bench/wal-bench.ts, `-- large` bench/large-bench.ts. What they compare with comes from Debian's
 * packages, which are installed when this runs as root.
 */
import { asOrdinaryUser, isRoot } from "./as-ordinary-user.mjs";
import { installFromDebian, missingRequirements } from "./requirements.mjs";

/** By the first argument: what is run, and what it needs. */
const benches = {
  stores: { file: "bench/stores-bench.ts", needs: ["postgresql-15"] },
  wal: { file: "bench/wal-bench.ts", needs: ["pgbackrest", "postgresql-15"] },
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
  process.exitCode = await asOrdinaryUser(
    named === benches.wal ? heirOfOrphans("node", args) : { command: "node", args },
  );
}

/**
 * The command, such that every process whose parent ends becomes its child: PR_SET_CHILD_SUBREAPER, which outlives exec. So what
 * commands leave in the background can be accounted for. Perl is on every Debian, and Node.js has no prctl.
 */
function heirOfOrphans(command, args) {
  const prctl = { x64: 157, arm64: 167 }[process.arch];
  const program = `syscall(${prctl}, 36, 1, 0, 0, 0) == 0 or die "prctl: $!"; exec @ARGV or die "exec: $!"`;
  return { command: "perl", args: ["-e", program, command, ...args] };
}
