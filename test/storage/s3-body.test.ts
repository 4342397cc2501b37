import { PassThrough } from "node:stream";
import { expect, test } from "vitest";
import { readBody } from "../../src/storage/drivers/s3/s3-body.ts";

const patient = { silenceMs: 60_000, signal: undefined };

function bodyOf(...chunks: readonly string[]): PassThrough {
  const body = new PassThrough();
  for (const chunk of chunks) body.write(chunk);
  return body;
}

test("puts a body together that comes in pieces", async () => {
  const body = bodyOf("ab", "cde", "f");
  body.end();
  expect(Buffer.from(await readBody(body, { size: 6, ...patient })).toString()).toBe("abcdef");
});

test("reads into the memory that is offered, if it is large enough", async () => {
  const into = Buffer.alloc(10);
  const [inside, beside] = [bodyOf("abcdef"), bodyOf("abcdefghijkl")];
  for (const body of [inside, beside]) body.end();
  const read = await readBody(inside, { size: 6, into, ...patient });
  expect(read.buffer).toBe(into.buffer);
  expect(into.toString("latin1")).toBe("abcdef\0\0\0\0");
  expect((await readBody(beside, { size: 12, into, ...patient })).buffer).not.toBe(into.buffer);
});

test.each([
  ["less", 7, "it ended after 6 of 7 bytes"],
  ["more", 5, "more came than was announced"],
])("refuses a body that is %s than was announced", async (_how, size, how) => {
  const body = bodyOf("abc", "def");
  body.end();
  await expect(readBody(body, { size, ...patient })).rejects.toMatchObject({
    code: "unavailable",
    message: `the answer broke off: ${how}`,
  });
});

test.each([6, undefined])("refuses a body that breaks, its size announced as %s", async (size) => {
  const body = bodyOf("abc");
  const reading = readBody(body, { size, ...patient });
  body.destroy(new Error("aborted"));
  await expect(reading).rejects.toMatchObject({ code: "unavailable", message: "the answer broke off: aborted" });
});

test("gives up on a body that has fallen silent", async () => {
  const reading = readBody(bodyOf("abc"), { size: 6, silenceMs: 20, signal: undefined });
  await expect(reading).rejects.toMatchObject({ code: "unavailable", message: /nothing came for/ });
});

test("stops in the middle of a body when told to, and before one", async () => {
  const stop = new AbortController();
  const body = bodyOf("abc");
  const reading = readBody(body, { size: 6, silenceMs: 60_000, signal: stop.signal });
  stop.abort();
  await expect(reading).rejects.toMatchObject({ code: "aborted" });
  expect(body.destroyed).toBe(true);
  const late = readBody(bodyOf("abcdef"), { size: 6, silenceMs: 60_000, signal: stop.signal });
  await expect(late).rejects.toMatchObject({ code: "aborted" });
});
