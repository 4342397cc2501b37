import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { thresholds } from "../../src/cli/option-type.ts";
import {
  parseBoolean,
  parseChoice,
  parseClusterName,
  parseDuration,
  parseList,
  parseListenAddress,
  parseRate,
  parseSize,
  parseTablespaceMapping,
  parseThreshold,
  parseWholeNumber,
} from "../../src/cli/parse-values.ts";

describe("sizes", () => {
  test.each([
    ["0", 0],
    ["4096", 4096],
    ["1kB", 1024],
    ["64MB", 64 * 2 ** 20],
    ["64 MiB", 64 * 2 ** 20],
    ["1.5GB", 1.5 * 2 ** 30],
    ["2tb", 2 * 2 ** 40],
  ])("reads %s", (text, bytes) => expect(parseSize(text)).toBe(bytes));

  test.each(["", "MB", "-1MB", "64 M B", "64X", "1e3", "0.3kB", "9999999999TB"])(
    "refuses %j and says what it got",
    (text) => {
      expect(() => parseSize(text)).toThrow(`"${text}"`);
    },
  );

  test("any whole number of bytes is read as it is", () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), (bytes) => {
        expect(parseSize(String(bytes))).toBe(bytes);
      }),
    );
  });
});

describe("rates", () => {
  test.each([
    ["200MB/s", 200 * 2 ** 20],
    ["200MB", 200 * 2 ** 20],
    ["1 GB / s", 2 ** 30],
  ])("reads %s", (text, bytes) => expect(parseRate(text)).toBe(bytes));

  test.each([
    ["200MB/min", "by the second"],
    ["fast", "200MB/s"],
    ["0", "leave the option out"],
    ["/s", "200MB/s"],
  ])("refuses %s", (text, says) => expect(() => parseRate(text)).toThrow(says));
});

describe("durations", () => {
  test.each([
    ["500ms", 500],
    ["30s", 30_000],
    ["10min", 600_000],
    ["1h 30min", 5_400_000],
    ["1.5h", 5_400_000],
    ["2 d", 172_800_000],
  ])("reads %s", (text, milliseconds) => expect(parseDuration(text)).toBe(milliseconds));

  test("a number without a unit is refused, for its unit would be a guess", () => {
    expect(() => parseDuration("10")).toThrow("has no unit");
  });

  test.each(["", "ten min", "10m", "10min foo", "-5s", "5 s 3"])("refuses %j", (text) => {
    expect(() => parseDuration(text)).toThrow("not a duration");
  });
});

describe("other values", () => {
  test.each(["0", "65", "1.5", "4x", "", "0x10", "1e1"])("%j is no whole number from 1 to 64", (text) => {
    expect(() => parseWholeNumber(text, 1, 64)).toThrow("from 1 to 64");
  });
  test("whole numbers are read up to both ends", () => {
    expect([parseWholeNumber("1", 1, 64), parseWholeNumber("64", 1, 64)]).toEqual([1, 64]);
  });
  test.each([
    ["on", true],
    ["YES", true],
    ["1", true],
    ["off", false],
    ["false", false],
  ])("%s is a boolean", (text, value) => expect(parseBoolean(text)).toBe(value));
  test("what is neither on nor off is refused", () =>
    expect(() => parseBoolean("maybe")).toThrow("neither on nor off"));
  test("a choice names the words there are", () => {
    expect(parseChoice("on", ["off", "on"])).toBe("on");
    expect(() => parseChoice("maybe", ["off", "on"])).toThrow("off, on");
  });
  test("lists are split at commas and trimmed", () => expect(parseList(" a, b,,c ")).toEqual(["a", "b", "c"]));
  test.each(["main", "a.b-c_9", "9"])("%s can name a cluster", (name) => expect(parseClusterName(name)).toBe(name));
  test.each(["", "..", "a/b", "-a", ".hidden", "a b", "x".repeat(64)])("%j cannot name a cluster", (name) => {
    expect(() => parseClusterName(name)).toThrow("cannot name a cluster");
  });
});

describe("tablespace mappings", () => {
  test.each([
    ["/a=/b", "/a", "/b"],
    ["16384=/b c", "16384", "/b c"],
    ["/a\\=b=/c\\=d", "/a=b", "/c=d"],
  ])("reads %s", (text, from, to) => expect(parseTablespaceMapping(text)).toEqual({ from, to }));

  test.each(["/a", "=/b", "/a=", "/a=b", "a=/b", "/a=/b=/c"])("refuses %s", (text) => {
    expect(() => parseTablespaceMapping(text)).toThrow("old=new");
  });
});

describe("thresholds", () => {
  test.each([
    ["backup-age=26h", ["backup-age", 26 * 3_600_000]],
    [" wal-lag = 1GB ", ["wal-lag", 2 ** 30]],
    ["backlog=0", ["backlog", 0]],
    ["window=off", ["window", "off"]],
  ] as const)("reads %j", (text, value) => expect(parseThreshold(text)).toEqual(value));

  test.each([
    ["backup_age=1h", 'did you mean "backup-age"?'],
    ["temperature=1", "the names are backup-age"],
    ["backup-age", "has no value"],
    ["backup-age=3", "has no unit"],
    ["backlog=many", "whole number"],
    ["wal-lag=1h", "not a size"],
  ])("refuses %j", (text, says) => expect(() => parseThreshold(text)).toThrow(says));

  test("are a list on the command line and a mapping in YAML", () => {
    const both = { "backup-age": 3_600_000, backlog: 5 };
    expect(thresholds.fromText(["backup-age=1h,backlog=9", "backlog=5"])).toEqual(both);
    expect(thresholds.fromYaml({ "backup-age": "1h", backlog: 5 })).toEqual(both);
    expect(thresholds.fromYaml("backup-age=1h,backlog=5")).toEqual(both);
    for (const wrong of [5, ["backlog"], { backlog: [5] }, { backlog: null }]) {
      expect(() => thresholds.fromYaml(wrong)).toThrow("expected");
    }
  });
});

describe("addresses to listen on", () => {
  test.each([
    ["127.0.0.1:9787", "127.0.0.1", 9787],
    ["localhost:0", "localhost", 0],
    ["[::1]:80", "::1", 80],
  ])("reads %s", (text, host, port) => expect(parseListenAddress(text)).toEqual({ host, port }));

  test.each(["9787", ":9787", "::1:80", "localhost", "localhost:65536", "http://localhost:80"])(
    "refuses %s",
    (text) => {
      expect(() => parseListenAddress(text)).toThrow("not an address and port");
    },
  );
});
