import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { lsn, parseLsn } from "../../src/postgres/lsn.ts";
import {
  formatTimeline,
  formatTimelineHistory,
  parseTimelineHex,
  parseTimelineHistory,
  parseTimelineId,
  timelineId,
} from "../../src/postgres/timeline.ts";
import { thrownBy } from "./errors.ts";

describe("timeline numbers", () => {
  test("survive being written and read, in hexadecimal and decimal", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 0xffffffff }), (value) => {
        expect(parseTimelineHex(formatTimeline(timelineId(value)))).toBe(value);
        expect(parseTimelineId(String(value))).toBe(value);
      }),
    );
  });

  test.each(["", "0", "-1", "0x10", "1.5", "4294967296", "A", " 1"])("decimal %j is refused", (text) => {
    expect(thrownBy(() => parseTimelineId(text)).code).toBe("usage");
  });

  test.each(["00000000", "0000000a", "1", "000000001", "0000000G"])("hexadecimal %j is refused", (text) => {
    expect(thrownBy(() => parseTimelineHex(text)).code).toBe("usage");
  });
});

describe("a timeline history", () => {
  test("is read past comments, blank lines and spaces", () => {
    const text =
      "# made by hand\n\n1\t0/70000A0\tno recovery target specified\n\n  2 1/0 before 2026-11-20 10:00:00+00\r\n";
    expect(parseTimelineHistory(text, timelineId(5))).toEqual({
      timeline: 5,
      ancestors: [
        { timeline: 1, switchPoint: parseLsn("0/70000A0"), reason: "no recovery target specified" },
        { timeline: 2, switchPoint: parseLsn("1/0"), reason: "before 2026-11-20 10:00:00+00" },
      ],
    });
  });

  test("may have switch points that go back, as after recovery that ended before its target timeline began", () => {
    const history = parseTimelineHistory("1\t0/5000000\tx\n2\t0/4000000\ty\n", timelineId(3));
    expect(history.ancestors.map(({ switchPoint }) => switchPoint)).toEqual([0x5000000n, 0x4000000n]);
  });

  test.each([
    ["no ancestor", "# nothing\n"],
    ["nothing at all", ""],
    ["a line without a position", "1\tno recovery target specified\n"],
    ["a position that is not one", "1\t0-5000000\tx\n"],
    ["timeline 0", "0\t0/5000000\tx\n"],
    ["ancestors that do not increase", "2\t0/5000000\tx\n2\t0/6000000\tx\n"],
    ["an ancestor as new as itself", "3\t0/5000000\tx\n"],
  ])("with %s is corrupt", (_, text) => {
    const error = thrownBy(() => parseTimelineHistory(text, timelineId(3)));
    expect(error).toMatchObject({ code: "corrupt", object: "00000003.history" });
  });

  test("survives being written and read", () => {
    const ancestor = fc.record({
      step: fc.integer({ min: 1, max: 1000 }),
      position: fc.bigInt({ min: 1n, max: 0xffffffffffffffffn }),
      reason: fc.stringMatching(/^[a-z0-9:+][ a-z0-9:+]{0,30}[a-z]$/),
    });
    fc.assert(
      fc.property(fc.array(ancestor, { minLength: 1, maxLength: 20 }), (steps) => {
        let number = 0;
        const ancestors = steps.map(({ step, position, reason }) => {
          number += step;
          return { timeline: timelineId(number), switchPoint: lsn(position), reason };
        });
        const history = { timeline: timelineId(number + 1), ancestors };
        expect(parseTimelineHistory(formatTimelineHistory(history), history.timeline)).toEqual(history);
      }),
    );
  });
});
