import { expect, test } from "vitest";
import { formatTable } from "../../src/cli/table.ts";

const plain = (_style: unknown, text: string): string => text;

test("columns are as wide as what is in them, numbers to the right, and no line ends in blanks", () => {
  const columns = [{ title: "label" }, { title: "bytes", align: "right" as const }, { title: "remarks" }];
  const rows = [
    ["a", "1", ""],
    ["longer", "1,000,000", "bad"],
  ];
  expect(formatTable(columns, rows, plain)).toBe(
    ["label       bytes  remarks", "a               1", "longer  1,000,000  bad", ""].join("\n"),
  );
});

test("colours take no width", () => {
  const red = "\u001b[31mbad\u001b[39m";
  expect(formatTable([{ title: "x" }, { title: "y" }], [[red, "1"]], plain)).toBe(`x    y\n${red}  1\n`);
});
