import fc from "fast-check";
import { expect, test } from "vitest";
import { compareKeys, sortKeys } from "../../src/storage/compare-keys.ts";

// Around the places where the order of UTF-16 and that of UTF-8 part.
const character = fc.constantFrom("a", "b", "/", "é", "ÿ", "Ā", "퟿", "\ue000", "\uffff", "𐀀", "😀");
const key = fc.array(character, { maxLength: 5 }).map((characters) => characters.join(""));

test("keys are compared as their bytes in UTF-8 are", () => {
  fc.assert(
    fc.property(key, key, (a, b) => {
      expect(Math.sign(compareKeys(a, b))).toBe(Math.sign(Buffer.compare(Buffer.from(a), Buffer.from(b))));
    }),
  );
});

test("and sorted likewise", () => {
  fc.assert(
    fc.property(fc.array(key), (keys) => {
      expect(sortKeys([...keys])).toEqual(keys.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))));
    }),
  );
});
