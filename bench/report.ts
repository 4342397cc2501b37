import type { Cost } from "./measure.ts";

/** The costs of every contender over all rounds, by what was done. */
export class Results {
  readonly #costs = new Map<string, Map<string, Cost[]>>();

  add(task: string, contender: string, cost: Cost): void {
    const byContender = this.#costs.get(task) ?? new Map<string, Cost[]>();
    this.#costs.set(task, byContender);
    byContender.set(contender, [...(byContender.get(contender) ?? []), cost]);
  }

  /** A table for each task: medians, and how many times those of `reference` they are. */
  report(reference: string): string {
    return [...this.#costs].map(([task, contenders]) => table(task, contenders, reference)).join("\n");
  }
}

function table(task: string, contenders: ReadonlyMap<string, readonly Cost[]>, reference: string): string {
  const rows = [...contenders].map(([name, costs]) => ({ name, cost: medians(costs) }));
  const base = rows.find(({ name }) => name === reference)?.cost;
  const heading = ["", "CPU s", "ratio", "wall s", "ratio", "largest process", "all processes"];
  const lines = rows.map(({ name, cost }) => [
    name,
    cost.cpu.toFixed(2),
    ratio(cost.cpu, base?.cpu),
    cost.wall.toFixed(2),
    ratio(cost.wall, base?.wall),
    megabytes(cost.largest),
    megabytes(cost.together),
  ]);
  const widths = heading.map((_, column) => Math.max(...[heading, ...lines].map((line) => line[column]?.length ?? 0)));
  const format = (line: readonly string[]): string =>
    line
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join("  ");
  return [task, ...[heading, ...lines].map((line) => `  ${format(line)}`), ""].join("\n");
}

function medians(costs: readonly Cost[]): Cost {
  const of = (value: (cost: Cost) => number): number => median(costs.map(value));
  return {
    cpu: of(({ cpu }) => cpu),
    wall: of(({ wall }) => wall),
    largest: of(({ largest }) => largest),
    together: of(({ together }) => together),
  };
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? Number.NaN)) / 2;
}

function ratio(value: number, base: number | undefined): string {
  return base === undefined ? "" : `${(value / base).toFixed(2)}x`;
}

function megabytes(bytes: number): string {
  return `${Math.round(bytes / 1e6)} MB`;
}
