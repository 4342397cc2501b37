import { chmod, mkdir, writeFile } from "node:fs/promises";
import { userInfo } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { resolveConnectionSettings } from "../../src/postgres/connection-settings.ts";
import { temporaryDirectory } from "../helpers/temp.ts";
import { thrownBy } from "./errors.ts";

let home: string;
beforeEach(async () => {
  home = (await temporaryDirectory()).path;
});

function resolve(connectionString?: string, environment: Record<string, string> = {}, replication = false) {
  return resolveConnectionSettings({ connectionString, replication, environment: { HOME: home, ...environment } });
}

describe("connection settings", () => {
  test("are libpq's defaults when nothing is said", () => {
    const settings = resolve();
    expect(settings).toMatchObject({
      user: userInfo().username,
      database: userInfo().username,
      applicationName: "pgark",
      sslMode: "prefer",
      targetSessionAttrs: "any",
    });
    expect(settings.targets).toEqual([{ host: expect.stringMatching(/^\//), address: undefined, port: 5432 }]);
  });

  test("come from the connection string over the service file over the environment", async () => {
    const file = join(home, "services");
    await writeFile(file, "[prod]\nhost=service\nport=2\nuser=service\n");
    const environment = { PGSERVICEFILE: file, PGHOST: "env", PGPORT: "3", PGUSER: "env", PGDATABASE: "env" };
    expect(resolve("service=prod host=string", environment)).toMatchObject({
      targets: [{ host: "string", port: 2 }],
      user: "service",
      database: "env",
    });
    expect(resolve(undefined, { ...environment, PGSERVICE: "prod" })).toMatchObject({ user: "service" });
  });

  test("with a service that is nowhere are refused, naming the files", () => {
    const error = thrownBy(() => resolve("service=prod", { PGSYSCONFDIR: "/nowhere" }));
    expect(error).toMatchObject({ code: "usage", object: "prod" });
    expect(error.hint).toContain("/nowhere/pg_service.conf");
  });

  test.each<[string, object[]]>([
    [
      "host=a,b port=1",
      [
        { host: "a", port: 1 },
        { host: "b", port: 1 },
      ],
    ],
    [
      "host=a,b port=1,2",
      [
        { host: "a", port: 1 },
        { host: "b", port: 2 },
      ],
    ],
    ["host=a hostaddr=10.0.0.1", [{ host: "a", address: "10.0.0.1", port: 5432 }]],
    ["hostaddr=10.0.0.1", [{ host: "10.0.0.1", address: "10.0.0.1" }]],
    [
      "postgresql://a:1,b:2",
      [
        { host: "a", port: 1 },
        { host: "b", port: 2 },
      ],
    ],
  ])("%s name the servers in order", (text, targets) => {
    expect(resolve(text).targets).toMatchObject(targets);
  });

  test.each([
    "host=a,b port=1,2,3",
    "host=a,b hostaddr=10.0.0.1",
    "port=0",
    "port=x",
    "sslmode=maybe",
    "sslmode=verify-full",
    "sslrootcert=system sslmode=require",
    "connect_timeout=soon",
    "target_session_attrs=fast",
    "hots=typo",
    "channel_binding=require",
    "requirepeer=postgres",
  ])("%s are refused", (text) => {
    expect(thrownBy(() => resolve(text)).code).toBe("usage");
  });

  test("with a root certificate at hand, require verifies", async () => {
    expect(resolve("sslmode=require").sslMode).toBe("require");
    await mkdir(join(home, ".postgresql"));
    await writeFile(join(home, ".postgresql/root.crt"), "pem");
    expect(resolve("sslmode=require").sslMode).toBe("verify-ca");
    expect(resolve().sslMode).toBe("prefer");
    expect(resolve("sslrootcert=system").sslMode).toBe("verify-full");
  });

  test("find passwords in the string, the environment and the password file, in this order", async () => {
    const file = join(home, ".pgpass");
    await writeFile(file, "db1:5432:replication:me:stream\ndb1:*:*:me:file\nlocalhost:*:*:me:socket\n");
    await chmod(file, 0o600);
    const passwordOf = (...parameters: Parameters<typeof resolve>): string | undefined => {
      const settings = resolve(...parameters);
      const [target] = settings.targets;
      return target === undefined ? undefined : settings.password(target);
    };
    expect(passwordOf("host=db1 user=me password=given", { PGPASSWORD: "env" })).toBe("given");
    expect(passwordOf("host=db1 user=me", { PGPASSWORD: "env" })).toBe("env");
    expect(passwordOf("host=db1 user=me")).toBe("file");
    expect(passwordOf("host=db1 user=me", {}, true)).toBe("stream");
    expect(passwordOf("host=/tmp user=me")).toBe("socket");
    expect(passwordOf("host=db2 user=me")).toBeUndefined();
    await chmod(file, 0o640);
    expect(passwordOf("host=db1 user=me")).toBeUndefined();
  });
});
