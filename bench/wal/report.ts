import { median } from "../report.ts";

/** What pgark is to be, as a multiple of what the other one is. */
export interface Bar {
  readonly other: string;
  readonly kind: "at most" | "at least";
  readonly ratio: number;
}

export interface Measured {
  readonly what: string;
  readonly unit: string;
  readonly bars: readonly Bar[];
}

/** What was measured, of whom, in every round. */
export class WalResults {
  readonly #rows = new Map<string, { readonly measured: Measured; readonly values: Map<string, number[]> }>();

  add(measured: Measured, contender: string, value: number): void {
    const row = this.#rows.get(measured.what) ?? { measured, values: new Map<string, number[]>() };
    this.#rows.set(measured.what, row);
    row.values.set(contender, [...(row.values.get(contender) ?? []), value]);
    console.log(`    ${contender}: ${measured.what}: ${format(value)} ${measured.unit}`);
  }

  /** Medians of `subject` and each other one, their ratios, and the bars. */
  table(subject: string): string {
    const heading = ["medians", subject, "", "", "ratio", "bar", ""];
    const lines = this.#compared(subject).map((line) => [
      `${line.what}, ${line.unit}`,
      format(line.subject),
      line.other,
      format(line.theirs),
      `${line.ratio.toFixed(2)}x`,
      line.bar === undefined ? "" : `${line.bar.kind} ${line.bar.ratio}x`,
      line.met === undefined ? "" : line.met ? "met" : "MISSED",
    ]);
    const all = [heading, ...lines];
    const widths = heading.map((_, column) => Math.max(...all.map((line) => line[column]?.length ?? 0)));
    return all.map((line) => line.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join("  ")).join("\n");
  }

  /** The same and every single value, for machines. */
  toJSON(subject: string): object {
    const rounds = [...this.#rows.values()].map(({ measured: { what, unit }, values }) => ({
      what,
      unit,
      values: Object.fromEntries(values),
    }));
    return { rounds, ratios: this.#compared(subject) };
  }

  #compared(subject: string) {
    return [...this.#rows.values()].flatMap(({ measured, values }) => {
      const { what, unit, bars } = measured;
      const mine = median(values.get(subject) ?? []);
      const others = [...values].filter(([name]) => name !== subject);
      return others.map(([other, theirs]) => {
        const ratio = mine / median(theirs);
        const bar = bars.find((one) => one.other === other);
        const met = bar === undefined ? undefined : bar.kind === "at most" ? ratio <= bar.ratio : ratio >= bar.ratio;
        return { what, unit, subject: mine, other, theirs: median(theirs), ratio, bar, met };
      });
    });
  }
}

function format(value: number): string {
  return value < 10 ? value.toFixed(2) : value.toFixed(1);
}
