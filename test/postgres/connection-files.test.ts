import { describe, expect, test } from "vitest";
import { findPassword, parseServiceFile } from "../../src/postgres/connection-files.ts";
import { thrownBy } from "./errors.ts";

describe("a service file", () => {
  const text = "# ours\n[other]\nhost=no\n\n[prod]\n host = db1 \nport=5433\nhost=later\n[prod]\nuser=second\n";

  test("gives the first section of a name, and of that the first value of each keyword", () => {
    expect(Object.fromEntries(parseServiceFile(text, "prod") ?? [])).toEqual({ host: "db1", port: "5433" });
  });

  test("has no section of another name", () => {
    expect(parseServiceFile(text, "pro")).toBeUndefined();
  });

  test("with a line that says nothing is refused", () => {
    expect(thrownBy(() => parseServiceFile("[prod]\nhost\n", "prod")).code).toBe("usage");
  });
});

describe("a password file", () => {
  const question = { host: "db1", port: 5432, database: "app", user: "me" };

  test.each<[string, string | undefined]>([
    ["db1:5432:app:me:secret", "secret"],
    ["*:*:*:*:secret", "secret"],
    ["db2:*:*:*:no\ndb1:*:*:*:secret\n*:*:*:*:late", "secret"],
    ["# db1:5432:app:me:no\r\ndb1:5432:app:me:secret\r\n", "secret"],
    [String.raw`db1:5432:app:me:se\:cr\\et`, String.raw`se:cr\et`],
    ["db1:5432:app:me:with:colons", "with:colons"],
    ["db1:5433:app:me:no", undefined],
    ["db1:5432:replication:me:no", undefined],
    ["db1:5432:app:me", undefined],
    ["", undefined],
  ])("%j answers %j", (text, password) => {
    expect(findPassword(text, question)).toBe(password);
  });

  test("knows hosts with colons when they are written with backslashes", () => {
    expect(findPassword(String.raw`\:\:1:*:*:*:secret`, { ...question, host: "::1" })).toBe("secret");
  });
});
