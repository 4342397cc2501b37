import type { Paint } from "./colours.ts";

export interface Column {
  readonly title: string;
  readonly align?: "left" | "right";
}

const NO_BORDER = {
  top: "",
  "top-mid": "",
  "top-left": "",
  "top-right": "",
  bottom: "",
  "bottom-mid": "",
  "bottom-left": "",
  "bottom-right": "",
  left: "",
  "left-mid": "",
  mid: "",
  "mid-mid": "",
  right: "",
  "right-mid": "",
  middle: "  ",
} as const;

/** A table without lines: a head and rows, two spaces between the columns. Ends with a line end. */
export async function formatTable(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  paint: Paint,
): Promise<string> {
  const { default: Table } = await import("cli-table3");
  const table = new Table({
    head: columns.map((column) => paint("bold", column.title)),
    colAligns: columns.map((column) => column.align ?? "left"),
    chars: NO_BORDER,
    style: { "padding-left": 0, "padding-right": 0, head: [], border: [], compact: true },
  });
  table.push(...rows.map((row) => [...row]));
  return trimLines(table.toString());
}

/** Names and values below one another, for one thing with many properties. Ends with a line end. */
export function formatFacts(facts: readonly (readonly [name: string, value: string])[], paint: Paint): string {
  const width = Math.max(...facts.map(([name]) => name.length));
  return facts.map(([name, value]) => `${paint("bold", name.padEnd(width))}  ${value}\n`).join("");
}

function trimLines(text: string): string {
  return `${text.replace(/[ \t]+$/gm, "")}\n`;
}
