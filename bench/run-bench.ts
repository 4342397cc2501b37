import { parseArgs } from "node:util";
import { disposeEverything } from "../test/helpers/cleanup.ts";

/** An option of a bench: a number or a word. */
export interface BenchOption<T> {
  readonly default: T;
  /** what `--help` says of it */
  readonly help: string;
}

type BenchOptions = Readonly<Record<string, BenchOption<number> | BenchOption<string>>>;

type Values<O extends BenchOptions> = { readonly [N in keyof O]: O[N] extends BenchOption<infer T> ? T : never };

export interface BenchSize {
  readonly rounds: number;
  /** of pgbench */
  readonly scale: number;
}

/** The options that every bench has. */
export function sizeOptions(rounds: number, scale: number) {
  return {
    rounds: { default: rounds, help: "how often everything is measured; medians are printed" },
    scale: { default: scale, help: "how large the cluster is: pgbench's scale" },
  };
}

/**
 * Runs a bench with what the command line says, or prints its `--help`. A signal ends it as a failure does: what was started is
 * stopped, what was made is removed.
 */
export async function runBench<O extends BenchOptions>(
  options: O,
  bench: (values: Values<O>) => Promise<void>,
): Promise<void> {
  const stopped = new Promise<never>((_, reject) => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.once(signal, () => reject(new Error(signal)));
  });
  try {
    const values = readValues(options);
    if (values === undefined) console.log(help(options));
    else await Promise.race([bench(values), stopped]);
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  } finally {
    await disposeEverything();
  }
}

/** Undefined when `--help` was asked for. */
function readValues<O extends BenchOptions>(options: O): Values<O> | undefined {
  const flags = Object.keys(options).map((name) => [name, { type: "string" as const }] as const);
  const parsed = parseArgs({ options: { ...Object.fromEntries(flags), help: { type: "boolean", default: false } } });
  const given = parsed.values as Readonly<Record<string, string | boolean | undefined>>;
  if (given["help"] === true) return undefined;
  const values = Object.entries(options).map(([name, option]) => [name, valueOf(name, option.default, given[name])]);
  return Object.fromEntries(values) as Values<O>;
}

function valueOf(name: string, preset: number | string, given: string | boolean | undefined): number | string {
  if (typeof given !== "string") return preset;
  if (typeof preset === "string") return given;
  if (!/^[1-9]\d*$/.test(given)) throw new Error(`--${name} is a whole number above 0, not "${given}"`);
  return Number(given);
}

function help(options: BenchOptions): string {
  const lines = Object.entries(options).map(([name, option]) => {
    return `  --${name.padEnd(12)} ${option.help} (${option.default})`;
  });
  return ["Options, and what they are unless said:", ...lines].join("\n");
}
