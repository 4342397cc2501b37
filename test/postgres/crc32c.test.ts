import { crc32c } from "@node-rs/crc32";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { joinCrc32c, RangeCrc32c, restCrc32c } from "../../src/postgres/crc32c.ts";

const pieces = fc.tuple(fc.uint8Array({ maxLength: 700 }), fc.uint8Array({ maxLength: 700 }));

describe("CRC-32C of ranges", () => {
  test("is the known one of the known check string", () => {
    const bytes = Buffer.from("123456789");
    expect(new RangeCrc32c(bytes).update(0, 9, 0) >>> 0).toBe(0xe3069283);
  });

  test("agrees with the native one for short and long ranges, at any place in memory", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2000 }), fc.nat(7), fc.nat(20), (content, shift, start8) => {
        const bytes = Buffer.concat([Buffer.alloc(shift), content]).subarray(shift);
        const start = Math.min(start8 * 8, bytes.length - (bytes.length % 8));
        const crc = new RangeCrc32c(bytes).update(start, bytes.length, 0);
        expect(crc >>> 0).toBe(crc32c(bytes.subarray(start)));
      }),
    );
  });

  test("goes on where another range ended", () => {
    const bytes = Buffer.from(Array.from({ length: 1000 }, (_, index) => (index * 7919) & 255));
    const crc = new RangeCrc32c(bytes);
    for (const split of [8, 64, 248, 256, 264, 512, 992]) {
      expect(crc.update(split, 1000, crc.update(0, split, 0)) >>> 0).toBe(crc32c(bytes));
    }
  });

  test("of two pieces is told from theirs, and that of the rest from the whole and its beginning", () => {
    fc.assert(
      fc.property(pieces, ([first, second]) => {
        const whole = crc32c(Buffer.concat([first, second])) | 0;
        const one = crc32c(first) | 0;
        const two = crc32c(second) | 0;
        expect(joinCrc32c(one, two, second.length)).toBe(whole);
        expect(restCrc32c(whole, one, second.length)).toBe(two);
      }),
    );
  });
});
