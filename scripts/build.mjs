/**
 * Bundles src/ into dist/: what an installed pgark runs. CJS, because it starts some 10 ms faster than ESM; a small first file
 * and one for the command line behind it, one for the worker threads and one for each storage driver, so that only the driver
 * in use is ever loaded.
 * Plain Node, and happy on Node 20: `npm ci` runs it (as `prepare`) on whatever node npm itself runs on.
 */
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const project = resolve(dirname(fileURLToPath(import.meta.url)), "..");
const dist = join(project, "dist");

/** Bundles and where each begins. */
const entries = {
  pgark: "src/cli/main.ts",
  cli: "src/cli/start.ts",
  worker: "src/repository/worker/worker-main.ts",
};

/**
 * Native addons, what stands in for one and is hardly ever loaded, and what must find its own files beside it stay outside;
 * pg-native is pg's optional, unused half.
 */
const external = [
  "zstd-napi",
  "@node-rs/crc32",
  "@napi-rs/blake-hash",
  "@noble/hashes/blake3.js",
  "piscina",
  "pg-native",
];

const own = JSON.parse(await readFile(join(project, "package.json"), "utf8"));

/** `import.meta` has no meaning in CJS; these stand in for it. */
const definitions = {
  define: {
    PGARK_VERSION: JSON.stringify(own.version),
    "import.meta.url": "__importMetaUrl",
    "import.meta.filename": "__filename",
    "import.meta.dirname": "__dirname",
  },
  banner: { js: `"use strict";const __importMetaUrl = require("node:url").pathToFileURL(__filename).href;` },
};

/**
 * Storage drivers are loaded lazily. In the sources that is `await import("./drivers/<x>/<module>.ts")` in
 * src/storage/open-store.ts; in dist/ it becomes `require("./driver-<x>.cjs")`, a bundle of its own. The plugin rewrites the
 * former to the latter and notes in `drivers` (name -> source file) which bundles must be built.
 */
function lazyDrivers(drivers) {
  return {
    name: "lazy-drivers",
    setup({ onResolve }) {
      onResolve({ filter: /^\.\/drivers\/[^/]+\/[^/]+\.ts$/ }, ({ path, kind, importer, resolveDir }) => {
        if (kind !== "dynamic-import" || !importer.endsWith("/src/storage/open-store.ts")) return undefined;
        const name = path.split("/")[2];
        const source = join(resolveDir, path);
        const known = drivers.get(name);
        if (known !== undefined && known !== source) {
          return { errors: [{ text: `driver "${name}" is entered by two files: ${known} and ${source}` }] };
        }
        drivers.set(name, source);
        return { path: `./driver-${name}.cjs`, external: true };
      });
    },
  };
}

/**
 * The command line lies in a bundle apart from main.ts. Node takes compiled code out of its cache only for files that are
 * loaded after main.ts has turned the cache on.
 */
const commandLineApart = {
  name: "command-line-apart",
  setup({ onResolve }) {
    onResolve({ filter: /^\.\/start\.ts$/ }, ({ kind, importer }) =>
      kind === "dynamic-import" && importer === join(project, "src/cli/main.ts")
        ? { path: "./cli.cjs", external: true }
        : undefined,
    );
  },
};

async function bundle(esbuild, entryPoints, outdir, drivers) {
  const { metafile } = await esbuild.build({
    absWorkingDir: project,
    entryPoints,
    outdir,
    outExtension: { ".js": ".cjs" },
    bundle: true,
    minify: true,
    platform: "node",
    format: "cjs",
    target: "node22",
    // The ESM half of a package can be tree-shaken, the CJS half cannot.
    mainFields: ["module", "main"],
    // import() becomes require(): the ESM loader would cost several milliseconds at start.
    supported: { "dynamic-import": false },
    legalComments: "eof",
    external,
    metafile: true,
    logLevel: "warning",
    plugins: [commandLineApart, lazyDrivers(drivers)],
    ...definitions,
  });
  return Object.keys(metafile.inputs);
}

/** The licences of the packages whose code is inside the bundles. */
async function thirdPartyLicences(inputs) {
  const packages = new Set();
  for (const input of inputs) {
    const found = /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/.exec(input);
    if (found !== null) packages.add(found[0]);
  }
  const texts = [];
  for (const directory of [...packages].toSorted((a, b) => (a < b ? -1 : 1))) {
    const { name, version, license } = JSON.parse(await readFile(join(project, directory, "package.json"), "utf8"));
    const file = (await readdir(join(project, directory))).find((candidate) => /^licen[cs]e/i.test(candidate));
    const text = file === undefined ? "" : await readFile(join(project, directory, file), "utf8");
    texts.push(`${name} ${version} (${license})\n\n${text.trim()}\n`);
  }
  return texts.join(`\n${"-".repeat(80)}\n\n`);
}

/** Puts finished files over the old ones one by one, so that a pgark that runs meanwhile never sees half a file. */
async function replaceFiles(from, to) {
  await mkdir(to, { recursive: true });
  const built = new Set(await readdir(from));
  for (const file of built) await rename(join(from, file), join(to, file));
  for (const file of await readdir(to)) {
    if (!built.has(file)) await rm(join(to, file), { recursive: true, force: true });
  }
  await rm(from, { recursive: true, force: true });
}

async function build(esbuild) {
  const begun = performance.now();
  const present = Object.entries(entries).filter(([, source]) => existsSync(join(project, source)));
  const staging = join(project, `.dist-${process.pid}`);
  try {
    const drivers = new Map();
    const inputs = await bundle(esbuild, Object.fromEntries(present), staging, drivers);
    if (drivers.size > 0) {
      const driverEntries = Object.fromEntries([...drivers].map(([name, source]) => [`driver-${name}`, source]));
      inputs.push(...(await bundle(esbuild, driverEntries, staging, new Map())));
    }
    await mkdir(staging, { recursive: true });
    await writeFile(join(staging, "package.json"), `${JSON.stringify({ type: "commonjs" })}\n`);
    await writeFile(join(staging, "THIRD-PARTY-LICENCES.txt"), await thirdPartyLicences(inputs));
    await replaceFiles(staging, dist);
    const names = [...present.map(([name]) => name), ...[...drivers.keys()].map((name) => `driver-${name}`)];
    console.log(`built dist/: ${names.join(", ")} (${Math.round(performance.now() - begun)} ms)`);
  } catch (error) {
    // Of what is wrong in the sources esbuild itself has printed all that helps.
    if (!Array.isArray(error.errors)) throw error;
    process.exitCode = 1;
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
}

async function loadEsbuild() {
  try {
    return await import("esbuild");
  } catch (error) {
    if (error.code !== "ERR_MODULE_NOT_FOUND") throw error;
    return undefined;
  }
}

const esbuild = await loadEsbuild();
if (esbuild !== undefined) {
  await build(esbuild);
} else if (process.argv.includes("--prepare") && existsSync(join(dist, "pgark.cjs"))) {
  console.log("esbuild is not installed (npm --omit=dev): dist/ stays as it is");
} else {
  console.error("esbuild is not installed, and without it dist/ cannot be built: run npm ci without --omit=dev");
  process.exitCode = 1;
}
