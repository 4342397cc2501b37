import { describe, expect, test } from "vitest";
import { parseConninfo } from "../../src/postgres/conninfo.ts";
import { thrownBy } from "./errors.ts";

describe("a connection string", () => {
  test.each<[string, Record<string, string>]>([
    ["", {}],
    ["host=db1 port=5433 dbname=app", { host: "db1", port: "5433", dbname: "app" }],
    ["  host = db1   user='a b'  ", { host: "db1", user: "a b" }],
    [String.raw`password='it\'s \\ here' user=a\ b`, { password: String.raw`it's \ here`, user: "a b" }],
    ["user='' host=x", { user: "", host: "x" }],
    ["password=p=q service=prod", { password: "p=q", service: "prod" }],
    ["postgresql://", {}],
    ["postgres://db1", { host: "db1" }],
    ["postgresql://me@db1:5433/app", { user: "me", host: "db1", port: "5433", dbname: "app" }],
    ["postgresql://me:p%40ss%3A@db1/", { user: "me", password: "p@ss:", host: "db1" }],
    ["postgresql://db1:1,db2:2/app", { host: "db1,db2", port: "1,2", dbname: "app" }],
    ["postgresql://[2001:db8::1]:5433/app", { host: "2001:db8::1", port: "5433", dbname: "app" }],
    ["postgresql://%2Fvar%2Frun/app", { host: "/var/run", dbname: "app" }],
    ["postgresql:///app?host=/tmp&sslmode=disable", { dbname: "app", host: "/tmp", sslmode: "disable" }],
    ["postgresql://db1?ssl=true", { host: "db1", sslmode: "require" }],
    ["postgresql://localhost:5432/postgres?host=%2Ftmp%2Fx", { host: "/tmp/x", port: "5432", dbname: "postgres" }],
  ])("%j is read as libpq reads it", (text, options) => {
    expect(Object.fromEntries(parseConninfo(text))).toEqual(options);
  });

  test.each([
    "host",
    "host=db1 garbage",
    "password='secret",
    "=secret",
    "postgresql://me:%zz@secret",
    "postgresql://h?secret",
  ])("%j is refused without being repeated", (text) => {
    const error = thrownBy(() => parseConninfo(text));
    expect(error.code).toBe("usage");
    expect(JSON.stringify([error.message, error.object, error.hint])).not.toContain("secret");
  });
});
