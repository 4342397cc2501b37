import { Readable } from "node:stream";
import { describe, expect, test } from "vitest";
import { readBody } from "../../src/storage/drivers/azure/azure-body.ts";

describe("readBody", () => {
  test("puts the pieces together", async () => {
    expect([...(await readBody(pieces(3, 2), 5))]).toEqual([3, 3, 3, 2, 2]);
    expect(await readBody(undefined, 0)).toHaveLength(0);
  });

  test.each([
    ["less than was announced", pieces(3), 5],
    ["more than was announced", pieces(3, 3), 5],
    ["nothing at all", undefined, 5],
  ])("takes %s for a broken answer", async (_what, body, size) => {
    await expect(readBody(body, size)).rejects.toMatchObject({ code: "unavailable" });
  });
});

function pieces(...sizes: readonly number[]): Readable {
  return Readable.from(sizes.map((size) => Buffer.alloc(size, size)));
}
