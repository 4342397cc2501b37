/** Programs beyond npm's that some tests need: how to tell that they are there, and which Debian packages bring them. */
import { execFileSync, spawnSync } from "node:child_process";
import { accessSync, constants, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { delimiter, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const project = resolve(dirname(fileURLToPath(import.meta.url)), "..");

function isExecutable(file) {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

const onPath = (program) => () =>
  (process.env.PATH ?? "").split(delimiter).some((directory) => isExecutable(join(directory, program)));

/** Whether the shared libraries of npm's PostgreSQL 18 client programs are all there. */
function clientProgramsLoad() {
  const pg = join(project, "node_modules/@serve-tools/postgres-linux-x64-gnu/pg");
  if (!existsSync(pg)) return false;
  const env = { ...process.env, LD_LIBRARY_PATH: join(pg, "lib") };
  return ["pg_verifybackup", "pg_basebackup", "psql"].every((program) => {
    const libraries = execFileSync("ldd", [join(pg, "bin", program)], { env, encoding: "utf8" });
    // libpq itself lies beside the programs, under a name that test/helpers/tools.ts links.
    return libraries.split("\n").every((line) => !line.includes("not found") || line.includes("libpq.so"));
  });
}

/** Whether an ordinary user, which root becomes for the tests, can mount a file system in a user namespace. */
function canMount() {
  const become = process.getuid?.() === 0 ? ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] : [];
  const [program, ...args] = [...become, "unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"];
  return spawnSync(program, args, { stdio: "ignore" }).status === 0;
}

/**
 * `name` is what test/helpers/requirements.ts asks for. The libraries of "pg-tools-18" have other names in newer Debians:
 * alternatives stand in a list, and the first that apt knows is taken.
 */
const requirements = [
  { name: "age", without: "encryption against the age program", packages: ["age"], present: onPath("age") },
  { name: "zstd", without: "compression against the zstd program", packages: ["zstd"], present: onPath("zstd") },
  { name: "b3sum", without: "digests against the b3sum program", packages: ["b3sum"], present: onPath("b3sum") },
  {
    name: "pgbackrest",
    without: "the comparison with pgBackRest",
    packages: ["pgbackrest"],
    present: onPath("pgbackrest"),
  },
  {
    name: "postgresql-15",
    without: "Debian's own server (lz4 and zstd base backups, psql, pgbench)",
    packages: ["postgresql-15"],
    present: () => isExecutable("/usr/lib/postgresql/15/bin/postgres"),
  },
  {
    name: "pg-tools-18",
    without: "pg_verifybackup, pg_waldump and other programs of PostgreSQL 18",
    packages: [
      "libxml2",
      "libxslt1.1",
      "liblz4-1",
      "libzstd1",
      "libgssapi-krb5-2",
      ["libreadline8", "libreadline8t64"],
      "libldap-2.5-0",
      "libossp-uuid16",
    ],
    present: clientProgramsLoad,
  },
  {
    name: "radosgw",
    without: "everything on a real S3 server (Ceph's)",
    packages: ["radosgw", "ceph-mon", "ceph-osd", "ceph-common"],
    present: () => ["radosgw", "ceph-mon", "ceph-osd", "radosgw-admin", "monmaptool"].every((name) => onPath(name)()),
  },
  { name: "setpriv", without: "nothing as an ordinary user", packages: ["util-linux"], present: onPath("setpriv") },
  {
    name: "mounts",
    without: "full and read-only file systems (an ordinary user must be able to mount in a namespace)",
    packages: ["util-linux", "mount"],
    present: canMount,
  },
  { name: "busybox", without: "the front in busybox's shell", packages: ["busybox"], present: onPath("busybox") },
];

export function missingRequirements() {
  return requirements.filter(({ present }) => !present());
}

/** Installs, as root, what `missing` needs from Debian's packages. Says what it cannot; the caller looks again afterwards. */
export function installFromDebian(missing) {
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive", LC_ALL: "C" };
  const apt = (...args) => execFileSync("apt-get", ["-qq", ...args], { env, stdio: ["ignore", "ignore", "pipe"] });
  const hasCandidate = (name) => {
    const policy = execFileSync("apt-cache", ["policy", name], { env, encoding: "utf8" });
    return /^ {2}Candidate: (?!\(none\))/m.test(policy);
  };
  try {
    apt("update");
    const packages = [];
    for (const alternatives of new Set(missing.flatMap((requirement) => requirement.packages))) {
      const candidate = [alternatives].flat().find(hasCandidate);
      if (candidate !== undefined) packages.push(candidate);
      else console.log(`  Debian's package ${[alternatives].flat().join(" or ")} is not to be had here: left out`);
    }
    if (packages.length === 0) return;
    if (packages.includes("postgresql-15")) withoutMainCluster();
    console.log(`  apt-get install ${packages.join(" ")}`);
    apt("install", "-y", "--no-install-recommends", "-o", "DPkg::Options::=--force-confold", ...packages);
  } catch (error) {
    console.error(`  ${error.message.trim()}`);
  }
}

/** Debian's package would create a cluster and start a server; the tests make their own. */
function withoutMainCluster() {
  const file = "/etc/postgresql-common/createcluster.conf";
  const settings = existsSync(file) ? readFileSync(file, "utf8") : "";
  if (/^\s*create_main_cluster\s*=/m.test(settings)) return;
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `${settings}create_main_cluster = false\n`);
}
