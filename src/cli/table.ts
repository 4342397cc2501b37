import { stripVTControlCharacters } from "node:util";
import type { Paint } from "./colours.ts";

export interface Column {
  readonly title: string;
  readonly align?: "left" | "right";
}

/** A table without lines: a head and rows, two spaces between the columns. Ends with a line end. */
export function formatTable(columns: readonly Column[], rows: readonly (readonly string[])[], paint: Paint): string {
  const lines = [columns.map((column) => paint("bold", column.title)), ...rows];
  const widths = columns.map((_, index) =>
    lines.reduce((widest, line) => Math.max(widest, visibleLength(line[index] ?? "")), 0),
  );
  const cell = (text: string, index: number): string => {
    const padding = " ".repeat((widths[index] ?? 0) - visibleLength(text));
    return columns[index]?.align === "right" ? padding + text : text + padding;
  };
  return lines.map((line) => `${line.map(cell).join("  ").trimEnd()}\n`).join("");
}

/** Names and values below one another, for one thing with many properties. Ends with a line end. */
export function formatFacts(facts: readonly (readonly [name: string, value: string])[], paint: Paint): string {
  const width = Math.max(...facts.map(([name]) => name.length));
  return facts.map(([name, value]) => `${paint("bold", name.padEnd(width))}  ${value}\n`).join("");
}

/** Of what is seen: colours have no width. */
function visibleLength(text: string): number {
  return stripVTControlCharacters(text).length;
}
