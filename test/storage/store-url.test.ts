import { expect, test } from "vitest";
import { parseStoreUrl, type StoreUrl } from "../../src/storage/store-url.ts";

const known = ["region", "path-style", "days", "mode", "ca-file"];

function parse(text: string): StoreUrl {
  return parseStoreUrl(text, known);
}

test.each([
  ["s3://bucket", "bucket", ""],
  ["s3://bucket/", "bucket", ""],
  ["s3://bucket/prefix", "bucket", "prefix/"],
  ["S3://bucket//deep//prefix//", "bucket", "deep/prefix/"],
  ["gs://bucket/with%20space/100%25?region=x", "bucket", "with space/100%/"],
  ["azure://my.container/a+b", "my.container", "a+b/"],
])("%s names a bucket and what stands before every key", (text, bucket, prefix) => {
  expect(parse(text)).toMatchObject({ bucket, prefix });
});

test("settings are text, yes or no, numbers or one of a few", () => {
  const { settings } = parse("s3://bucket?region=eu%2Dwest-1&days=30&mode=GOVERNANCE&path-style=off&ca-file=/a+b.pem");
  expect(settings.text("region")).toBe("eu-west-1");
  expect(settings.text("ca-file")).toBe("/a+b.pem");
  expect(settings.number("days")).toBe(30);
  expect(settings.oneOf("mode", "COMPLIANCE", "GOVERNANCE")).toBe("GOVERNANCE");
  expect(settings.flag("path-style")).toBe(false);
  const none = parse("s3://bucket?region=").settings;
  expect([none.text("region"), none.number("days"), none.oneOf("mode", "A"), none.flag("path-style")]).toEqual([
    undefined,
    undefined,
    undefined,
    undefined,
  ]);
});

test.each([
  ["path-style", true],
  ["path-style=yes", true],
  ["path-style=1", true],
  ["path-style=no", false],
  ["path-style=0", false],
])("?%s is %s", (query, value) => {
  expect(parse(`s3://bucket?${query}`).settings.flag("path-style")).toBe(value);
});

test.each([
  ["s3:bucket", "not a repository URL", "scheme://bucket/prefix"],
  ["s3:///prefix", "not a repository URL", "scheme://bucket/prefix"],
  ["s3://bucket?regoin=x", 'unknown setting "regoin"', "region, path-style, days, mode, ca-file"],
  ["s3://bucket?region=a&region=b", 'the setting "region" is given twice', "once"],
  ["s3://bucket/100%", "a percent sign that encodes nothing", "%25"],
  ["s3://bucket?region=%zz", "a percent sign that encodes nothing", "%25"],
  ["s3://key:password@bucket/prefix", "a repository's URL holds no credentials", "profile"],
])("%s is refused, and the hint helps", (text, problem, hint) => {
  expect(() => parse(text)).toThrow(
    expect.objectContaining({ code: "usage", message: problem, hint: expect.stringContaining(hint) as string }),
  );
});

test.each([
  ["days", (url: StoreUrl) => url.settings.number("days"), "many", "whole number"],
  ["days", (url: StoreUrl) => url.settings.number("days"), "-1", "whole number"],
  ["path-style", (url: StoreUrl) => url.settings.flag("path-style"), "maybe", "yes or no"],
  ["mode", (url: StoreUrl) => url.settings.oneOf("mode", "A", "B"), "C", 'cannot be "C"'],
])("the setting %s is refused when it is not what it must be", (name, read, value, problem) => {
  const url = parse(`s3://bucket?${name}=${value}`);
  expect(() => read(url)).toThrow(
    expect.objectContaining({ code: "usage", message: expect.stringContaining(problem) as string }),
  );
});

test.each([
  "s3://AKIA:hunter2@bucket/prefix",
  "s3://AKIA:hun/ter2@bucket?region=hunter2",
  "s3://bucket?password=hunter2",
  "s3://bucket?region=x&secret-key=hunter2",
  "s3://bucket/100%?region=hunter2",
  "s3:/hunter2@bucket?token=hunter2",
  "s3://bucket#hunter2",
])("no message repeats what might be a secret: %s", (text) => {
  let error: unknown;
  try {
    parse(text);
  } catch (thrown) {
    error = thrown;
  }
  expect(error).toMatchObject({ code: "usage" });
  const { message, object, hint } = error as { message: string; object: string; hint: string };
  expect(`${message} ${object} ${hint}`).not.toMatch(/hun|ter2/);
});

test("a URL is shown without its settings", () => {
  expect(parse("s3://bucket/prefix?region=x").text).toBe("s3://bucket/prefix");
});
