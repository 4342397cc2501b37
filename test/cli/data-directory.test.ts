import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { walDataDirectory } from "../../src/cli/data-directory.ts";
import type { Io } from "../../src/cli/io.ts";
import type { Settings } from "../../src/cli/settings.ts";
import { temporaryDirectory } from "../helpers/temp.ts";

let root: string;
beforeAll(async () => {
  root = (await temporaryDirectory("pgark-data-directory")).path;
  for (const name of ["main", "clone", "configured"]) {
    await mkdir(join(root, name, "global"), { recursive: true });
    await mkdir(join(root, name, "pg_wal"));
    await writeFile(join(root, name, "global/pg_control"), "");
  }
  await mkdir(join(root, "elsewhere/pg_wal"), { recursive: true });
});

interface Case {
  readonly cwd: string;
  readonly path: string;
  readonly flag?: string;
  readonly config?: string;
  readonly variable?: string;
  readonly expected: string;
}

/** Names below the root. */
const cases: readonly (Case & { readonly what: string })[] = [
  { what: "PostgreSQL's own call", cwd: "main", path: "pg_wal/RECOVERYXLOG", expected: "main" },
  { what: "a clone on a configured host", cwd: "clone", path: "pg_wal/X", config: "configured", expected: "clone" },
  { what: "pg_rewind, from elsewhere", cwd: "elsewhere", path: "$/main/pg_wal/X", expected: "main" },
  { what: "pg_rewind, from another server's", cwd: "clone", path: "$/main/pg_wal/X", expected: "main" },
  { what: "pg_rewind, on a configured host", cwd: "", path: "$/main/pg_wal/X", config: "configured", expected: "main" },
  { what: "a flag", cwd: "main", path: "$/clone/pg_wal/X", flag: "configured", expected: "configured" },
  { what: "a file anywhere", cwd: "main", path: "$/X", expected: "main" },
  {
    what: "a file anywhere, from anywhere",
    cwd: "elsewhere",
    path: "$/X",
    config: "configured",
    expected: "configured",
  },
  { what: "PGDATA", cwd: "elsewhere", path: "pg_wal/X", variable: "main", expected: "main" },
  { what: "nothing at all", cwd: "elsewhere", path: "pg_wal/X", expected: "elsewhere" },
];

test.each(cases)("the data directory of a WAL file: $what", ({ cwd, path, flag, config, variable, expected }) => {
  const pgdata = flag ?? config;
  const values = pgdata === undefined ? {} : { pgdata: join(root, pgdata) };
  const origins = new Map(pgdata === undefined ? [] : [["pgdata", flag === undefined ? "file" : "flag"]]);
  const env = variable === undefined ? {} : { PGDATA: join(root, variable) };
  const found = walDataDirectory(
    { values, origins } as unknown as Settings,
    { cwd: join(root, cwd), env } as unknown as Io,
    path.replace("$", root),
  );
  expect(found).toBe(join(root, expected));
});
