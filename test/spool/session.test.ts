import { chmod, chown, mkdir, readdir, readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { giveUpOtherWords, isAnswered, SpoolSession } from "../../src/spool/session.ts";
import { wipeSpool } from "../../src/spool/spool-folder.ts";
import type { DataDirectory } from "./spool-fixture.ts";
import { Clock, dataDirectory, DEAD, enter, homeOf, sessionOptions, writePostmaster } from "./spool-fixture.ts";

/** Another process that lives. */
const OTHER = process.ppid;

async function names(folder: string): Promise<readonly string[]> {
  return (await readdir(folder)).sort();
}

/** A configuration file that was written so many seconds after the session was configured. */
async function writeConfig({ pgdata }: DataDirectory, configuredAt: Date, seconds: number): Promise<string> {
  const path = `${pgdata}.yaml`;
  await writeFile(path, "");
  const time = new Date(configuredAt.getTime() + seconds * 1000);
  await utimes(path, time, time);
  return path;
}

describe("entering a session", () => {
  test("makes folders that are nobody else's, and says who answers for what", async () => {
    await using directory = await dataDirectory();
    const configuredAt = new Date("2026-11-20T10:00:00.123Z");
    const configFile = await writeConfig(directory, configuredAt, -1);
    const options = sessionOptions(directory, "push", { configFile, configuredAt, words: "a b" });
    const session = await enter(options, new Date());
    const home = homeOf(options);
    expect(await names(session.folder)).toEqual(["asked", "done", "failed"]);
    expect(dirname(session.folder)).toBe(home);
    for (const folder of [directory.spool, dirname(home), home, session.folder, join(session.folder, "done")]) {
      expect((await stat(folder)).mode & 0o777).toBe(0o700);
    }
    expect(await readFile(join(home, "pid"), "utf8")).toBe(`${process.pid}\n`);
    expect(await readFile(join(home, "words"), "utf8")).toBe(`a b\n${configFile}\n${basename(session.folder)}\n`);
    // The front compares the configuration file with this.
    expect((await stat(join(home, "words"))).mtime).toEqual(configuredAt);
    expect(await names(home)).toEqual([basename(session.folder), "pid", "words"]);
  });

  test("has folders of its own for each role", async () => {
    await using directory = await dataDirectory();
    await enter(sessionOptions(directory, "push"), new Date());
    const session = await enter(sessionOptions(directory, "fetch"), new Date());
    expect(await names(session.folder)).toEqual(["absent", "asked", "declined", "wal"]);
  });

  test("keeps what was answered for the same words", async () => {
    await using directory = await dataDirectory();
    const configuredAt = new Date();
    const configFile = await writeConfig(directory, configuredAt, 0);
    const options = sessionOptions(directory, "push", { configFile, configuredAt });
    const first = await enter(options, new Date());
    await writeFile(join(first.folder, "done/1"), "");
    await first.leave();
    const second = await enter({ ...options, configuredAt: new Date(configuredAt.getTime() + 1000) }, new Date());
    expect(second.folder).toBe(first.folder);
    expect(await names(join(second.folder, "done"))).toEqual(["1"]);
    expect((await stat(join(homeOf(options), "words"))).mtime).toEqual(configuredAt);
  });

  test.each([
    ["the words are others", { words: "other" }, async () => undefined],
    ["another configuration file is used", { configFile: "/other" }, async () => undefined],
    ["the configuration was written since", {}, async (config: string) => utimes(config, new Date(), new Date())],
    ["the configuration is gone", {}, async (config: string) => rm(config)],
    ["the session was given up", {}, async (_: string, home: string) => rm(join(home, "words"))],
    ["the words are not complete", {}, async (_: string, home: string) => writeFile(join(home, "words"), "x\n")],
    ["the answers are gone", {}, async (_: string, _home: string, folder: string) => rm(folder, { recursive: true })],
  ])("begins anew, and removes all answers, when %s", async (_what, changes, change) => {
    await using directory = await dataDirectory();
    const configuredAt = new Date(Date.now() - 60_000);
    const configFile = await writeConfig(directory, configuredAt, -1);
    const options = sessionOptions(directory, "push", { configFile, configuredAt });
    const first = await enter(options, new Date());
    await writeFile(join(first.folder, "done/1"), "");
    await first.leave();
    await change(configFile, homeOf(options), first.folder);
    const second = await enter({ ...options, configuredAt: new Date(), ...changes }, new Date());
    expect(second.folder).not.toBe(first.folder);
    expect(await names(join(second.folder, "done"))).toEqual([]);
    expect(await names(homeOf(options))).toEqual([basename(second.folder), "pid", "words"]);
  });

  test("leaves a session alone in which another process answers", async () => {
    await using directory = await dataDirectory();
    const options = sessionOptions(directory, "push");
    const first = await enter(options, new Date());
    await writeFile(join(homeOf(options), "pid"), `${OTHER}\n`);
    expect(await SpoolSession.enter({ ...options, words: "other" }, new Date())).toBeUndefined();
    expect(await readFile(join(homeOf(options), "words"), "utf8")).toContain(options.words);
    expect(await names(homeOf(options))).toEqual([basename(first.folder), "pid", "words"]);
  });

  test.each([
    ["has ended", `${DEAD}\n`, 0],
    ["has not been heard of for ten seconds", `${OTHER}\n`, 10_001],
    ["left no number", "", 0],
    ["left something else", "../1\n", 0],
  ])("takes over from a process that %s", async (_what, pid, elapsed) => {
    await using directory = await dataDirectory();
    const clock = new Clock();
    const options = sessionOptions(directory, "push");
    await enter(options, clock.now());
    await writeFile(join(homeOf(options), "pid"), pid);
    await utimes(join(homeOf(options), "pid"), clock.now(), clock.now());
    clock.advance(elapsed);
    await enter(options, clock.now());
    expect(await readFile(join(homeOf(options), "pid"), "utf8")).toBe(`${process.pid}\n`);
  });

  test("removes the sessions of earlier postmasters, and nothing else", async () => {
    await using directory = await dataDirectory();
    for (const name of ["1-2", `${process.pid}-1763632799`, "1-2.kept", "kept"]) {
      await mkdir(join(directory.spool, name, "push"), { recursive: true, mode: 0o700 });
    }
    await chmod(directory.spool, 0o700);
    await writeFile(join(directory.spool, "push.log"), "");
    await enter(sessionOptions(directory, "push"), new Date());
    expect(await names(directory.spool)).toEqual(["1-2.kept", `${process.pid}-1763632800`, "kept", "push.log"].sort());
  });

  test("does not mind who else may write beside the data directory", async () => {
    await using directory = await dataDirectory();
    await chmod(dirname(directory.pgdata), 0o1777);
    expect(await SpoolSession.enter(sessionOptions(directory, "push"), new Date())).toBeDefined();
  });
});

describe("a folder that is not PostgreSQL's user's alone", () => {
  const folders = (directory: DataDirectory): readonly string[] => {
    const home = homeOf(sessionOptions(directory, "push"));
    return [directory.spool, dirname(home), home];
  };

  test.each([
    ["the spool", 0],
    ["the postmaster's folder", 1],
    ["the session", 2],
  ])("is refused, with what to do: %s", async (_what, index) => {
    await using directory = await dataDirectory();
    for (const mode of [0o770, 0o702]) {
      const folder = folders(directory)[index] ?? "";
      await mkdir(folder, { recursive: true });
      await chmod(folder, mode);
      const entering = SpoolSession.enter(sessionOptions(directory, "push"), new Date());
      await expect(entering).rejects.toMatchObject({
        code: "denied",
        object: folder,
        hint: expect.stringContaining("0700"),
      });
    }
  });

  test("is refused when it is another user's", async () => {
    await using directory = await dataDirectory();
    let spool = "/usr";
    if (process.getuid?.() === 0) {
      ({ spool } = directory);
      await mkdir(spool, { mode: 0o700 });
      await chown(spool, 1, 1);
    }
    const entering = SpoolSession.enter(sessionOptions(directory, "push", { spool }), new Date());
    await expect(entering).rejects.toMatchObject({ code: "denied", object: spool });
  });

  test("cannot be a file", async () => {
    await using directory = await dataDirectory();
    await writeFile(directory.spool, "");
    const entering = SpoolSession.enter(sessionOptions(directory, "push"), new Date());
    await expect(entering).rejects.toMatchObject({ code: "io", object: directory.spool });
  });
});

describe("a beat", () => {
  test("shows the time to who waits", async () => {
    await using directory = await dataDirectory();
    const clock = new Clock();
    const options = sessionOptions(directory, "push");
    const session = await enter(options, clock.now());
    clock.advance(5000);
    expect(await session.beat(clock.now())).toBe(true);
    expect((await stat(join(homeOf(options), "pid"))).mtime).toEqual(clock.now());
    clock.advance(9999);
    expect(await isAnswered(options, clock.now())).toBe(true);
    clock.advance(1);
    expect(await isAnswered(options, clock.now())).toBe(false);
  });

  test.each([
    ["another process has taken over", (home: string) => writeFile(join(home, "pid"), `${OTHER}\n`)],
    ["the pid file is gone", (home: string) => rm(join(home, "pid"))],
    ["the session was given up", (home: string) => rm(join(home, "words"))],
    ["the session is for other words", (home: string) => writeFile(join(home, "words"), "other\n\nanswers-1\n")],
    ["the spool is gone", (home: string) => rm(home, { recursive: true })],
    ["PostgreSQL was started anew", (_: string, pgdata: string) => writePostmaster(pgdata, "1763632801")],
    ["another postmaster runs", (_: string, pgdata: string) => writePostmaster(pgdata, "1763632800", 1)],
    ["PostgreSQL was stopped", (_: string, pgdata: string) => rm(join(pgdata, "postmaster.pid"))],
  ])("says that it is over when %s", async (_what, change) => {
    await using directory = await dataDirectory();
    const options = sessionOptions(directory, "push");
    const session = await enter(options, new Date());
    expect(await session.beat(new Date())).toBe(true);
    await change(homeOf(options), directory.pgdata);
    expect(await session.beat(new Date())).toBe(false);
  });

  test("says so too when the same words were begun anew", async () => {
    await using directory = await dataDirectory();
    const options = sessionOptions(directory, "push");
    const session = await enter(options, new Date());
    await session.giveUp();
    await session.leave();
    const next = await enter(options, new Date());
    expect(await session.beat(new Date())).toBe(false);
    expect(await next.beat(new Date())).toBe(true);
  });
});

describe("leaving a session", () => {
  test("removes the number, so that nobody waits, and nothing else", async () => {
    await using directory = await dataDirectory();
    const options = sessionOptions(directory, "push");
    const session = await enter(options, new Date());
    await session.leave();
    expect(await names(homeOf(options))).toEqual([basename(session.folder), "words"]);
    await session.leave();
  });

  test("does not touch another process's number", async () => {
    await using directory = await dataDirectory();
    const options = sessionOptions(directory, "push");
    const session = await enter(options, new Date());
    await writeFile(join(homeOf(options), "pid"), `${OTHER}\n`);
    await session.leave();
    expect(await readFile(join(homeOf(options), "pid"), "utf8")).toBe(`${OTHER}\n`);
  });
});

describe("giving up a session", () => {
  test("removes its own words only", async () => {
    await using directory = await dataDirectory();
    const options = sessionOptions(directory, "push");
    const session = await enter(options, new Date());
    await session.giveUp();
    expect(await names(homeOf(options))).not.toContain("words");
    await session.leave();
    await enter({ ...options, words: "other" }, new Date());
    await session.giveUp();
    expect(await names(homeOf(options))).toContain("words");
  });

  test.each([
    ["stays for the same words", {}, true],
    ["goes for other words", { words: "8:wal-push,6:--json," }, false],
    ["goes for words that begin alike", { words: "8:wal" }, false],
    ["goes for another configuration file", { configFile: "/other" }, false],
  ])("a session of another process %s", async (_what, changes, stays) => {
    await using directory = await dataDirectory();
    const options = sessionOptions(directory, "push");
    await giveUpOtherWords(options);
    await enter(options, new Date());
    await giveUpOtherWords({ ...options, ...changes });
    expect((await names(homeOf(options))).includes("words")).toBe(stays);
  });
});

test("nobody answers where there is no session", async () => {
  await using directory = await dataDirectory();
  expect(await isAnswered(sessionOptions(directory, "push"), new Date())).toBe(false);
});

test("a spool is wiped of its sessions, and may be missing", async () => {
  await using directory = await dataDirectory();
  await wipeSpool(directory.spool);
  await enter(sessionOptions(directory, "push"), new Date());
  await writeFile(join(directory.spool, "push.log"), "");
  await wipeSpool(directory.spool);
  expect(await names(directory.spool)).toEqual(["push.log"]);
});
