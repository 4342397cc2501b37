import { chown, readdir, readFile, rename, rm, symlink, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { fileVersion, PushSpool } from "../../src/archive/push-spool.ts";
import { FetchSpool } from "../../src/restore/fetch-spool.ts";
import { environmentName, optionsOf } from "../../src/cli/options.ts";
import type { OptionName } from "../../src/cli/options.ts";
import { shells } from "./front-fixture.ts";
import { at, BY_NODE, type Call, FILE, QUICK, type Role, Scene } from "./front-scene.ts";

const isRoot = process.getuid?.() === 0;

/** Options that do not decide where WAL goes to or comes from. (The spool is always that of the working directory.) */
const indifferent: readonly OptionName[] = [
  "backlog-warning",
  "compress-level",
  "host-key-file",
  "jobs",
  "json",
  "linger",
  "log-format",
  "log-level",
  "pgdata",
  "prefetch",
  "spool",
];

/** What archive_command may set before it calls pgark, and what decides where WAL goes. */
const variables = [
  ...[...new Set([...optionsOf("wal-push"), ...optionsOf("wal-fetch")])]
    .filter((option) => !indifferent.includes(option))
    .map(environmentName)
    .filter((name) => name !== undefined),
  "AWS_ENDPOINT_URL",
  "AWS_ENDPOINT_URL_S3",
  "AWS_PROFILE",
  "AZURE_STORAGE_ACCOUNT",
  "STORAGE_EMULATOR_HOST",
  "XDG_CONFIG_HOME",
  "HOME",
];

interface Breach {
  readonly what: string;
  readonly only?: Role;
  readonly asRoot?: true;
  readonly change?: (scene: Scene) => Promise<void>;
  readonly call?: (scene: Scene) => Call;
}

/** Each breaks one of the conditions of docs/spool.md, and nothing else. */
const breaches: readonly Breach[] = [
  { what: "PostgreSQL was started anew", change: (scene) => scene.writePostmaster("4711", "1763632801") },
  { what: "another postmaster runs", change: (scene) => scene.writePostmaster("4712", "1763632800") },
  { what: "no postmaster is known", change: (scene) => rm(join(scene.pgdata, "postmaster.pid")) },
  {
    what: "postmaster.pid is not complete",
    change: (scene) => writeFile(join(scene.pgdata, "postmaster.pid"), "4711\n/data\n"),
  },
  { what: "a flag is on the command line", call: (scene) => ({ args: scene.args("--json") }) },
  { what: "a flag is gone", call: (scene) => ({ args: scene.args().slice(0, -2) }) },
  { what: "a flag has another value", call: (scene) => ({ args: [...scene.args().slice(0, -1), "mail"] }) },
  { what: "the command comes from another directory", call: (scene) => ({ cwd: scene.directory }) },
  { what: "the configuration was written since", change: (scene) => utimes(scene.config, at(9), at(9)) },
  { what: "the configuration is gone", change: (scene) => rm(scene.config) },
  { what: "the session was given up", change: (scene) => rm(join(scene.session, "words")) },
  { what: "the words are not complete", change: (scene) => writeFile(join(scene.session, "words"), "x\n\n") },
  { what: "the words name other answers", change: (scene) => rename(scene.answers(), `${scene.answers()}0`) },
  { what: "the words are another user's", asRoot: true, change: (scene) => chown(join(scene.session, "words"), 1, 1) },
  { what: "the folder is another user's", asRoot: true, change: (scene) => chown(scene.session, 1, 1) },
  { what: "the spool is to be left alone", call: (scene) => ({ args: scene.args("--spool", "off") }) },
  { what: "the spool is left alone by the environment", call: () => ({ env: { PGARK_SPOOL: "off" } }) },
  { what: "the spool is elsewhere", call: () => ({ env: { PGARK_SPOOL: "/nowhere" } }) },
  {
    what: "the file was written since",
    only: "push",
    change: (scene) => utimes(join(scene.pgdata, scene.target), at(9), at(9)),
  },
  { what: "the file is gone", only: "push", change: (scene) => rm(join(scene.pgdata, scene.target)) },
  { what: "the acknowledgement is gone", only: "push", change: (scene) => rm(scene.answers("done", FILE)) },
  { what: "the fetched file is gone", only: "fetch", change: (scene) => rm(scene.answers("wal", FILE)) },
];

/** The next file. */
const OTHER = "000000010000000A000000FF";

describe.each(shells.filter(({ present }) => present))("the quick path under $name", (shell) => {
  describe.each(["push", "fetch"] as const)("of wal-%s", (role) => {
    const open = (): Promise<Scene> => Scene.open(shell, role);

    test("answers from the spool, and says nothing", async () => {
      await using scene = await open();
      await scene.answer();
      expect(scene.run()).toEqual(QUICK);
    });

    test.each(breaches.filter(({ only, asRoot }) => (only ?? role) === role && (isRoot || !asRoot)))(
      "leaves it to node when $what",
      async ({ change, call }) => {
        await using scene = await open();
        await scene.answer();
        await change?.(scene);
        expect(scene.run(call?.(scene))).toEqual(BY_NODE);
      },
    );

    test("finds the spool where --spool and PGARK_SPOOL say", async () => {
      await using scene = await open();
      const spool = join(scene.directory, "spo ol");
      scene.session = scene.sessionIn(spool + scene.pgdata);
      for (const call of [
        { args: scene.args("--spool", spool) },
        { args: scene.args(`--spool=${spool}`) },
        { env: { PGARK_SPOOL: spool } },
        { args: scene.args("--spool", spool), env: { PGARK_SPOOL: "/nowhere" } },
        { args: ["--spool", spool, ...scene.args()], env: { PGARK_SPOOL: "off" } },
      ]) {
        await scene.answer(call);
        expect(scene.run(call)).toEqual(QUICK);
      }
      await scene.answer();
      expect(scene.run()).toEqual(BY_NODE);
    });

    test("looks nowhere with --spool off, whatever was answered there", async () => {
      await using scene = await open();
      const call = { args: scene.args("--spool", "off") };
      await scene.answer(call);
      expect(scene.run(call)).toEqual(BY_NODE);
      scene.session = scene.sessionIn(join(scene.pgdata, `off${scene.pgdata}`));
      await scene.answer(call);
      expect(scene.run(call)).toEqual(BY_NODE);
    });

    test("understands flags before, between and behind the command and its files", async () => {
      await using scene = await open();
      const [command = "", ...rest] = scene.args();
      const files = rest.slice(0, -2);
      for (const args of [
        ["--json", command, ...files],
        [command, "--json", ...files],
        [command, ...files, "--json", "--cluster=main"],
      ]) {
        await scene.answer({ args });
        expect(scene.run({ args })).toEqual(QUICK);
      }
    });

    test("tells the values of flags apart, also those as long as the name of a segment", async () => {
      await using scene = await open();
      const call = (value: string): Call => ({ args: scene.args("--recipients", value) });
      for (const value of ["age1abcdefghijklmnopqrst", "0123456789abcdef01234567", "a b", "", "*"]) {
        await scene.answer(call(value));
        expect(scene.run(call(value.replace(/./, "X")))).toEqual(value === "" ? QUICK : BY_NODE);
        await scene.give();
        expect(scene.run(call(value))).toEqual(QUICK);
      }
    });

    test("leaves a command line to node on which it cannot tell which file is meant", async () => {
      await using scene = await open();
      const absolute = scene.args().map((word) => (word === scene.target ? join(scene.pgdata, word) : word));
      for (const args of [
        absolute,
        scene.args(OTHER),
        scene.args("--cluster", OTHER),
        scene.args("00000002.history"),
        scene.args(`pg_wal/${OTHER}`),
        scene.args().filter((word) => word !== scene.target),
        [`wal-${role}`, "--cluster", "main"],
      ]) {
        await scene.answer({ args });
        await scene.give(OTHER);
        expect({ args, ...scene.run({ args }) }).toEqual({ args, ...BY_NODE });
      }
    });

    test("leaves a command line of several lines to node", async () => {
      await using scene = await open();
      const call = { args: scene.args("--recipients", "a\nb") };
      await scene.answer(call);
      expect(scene.run(call)).toEqual(BY_NODE);
      const [first = ""] = (await scene.wordsOf(call)).split("\n");
      await scene.writeWords(first);
      expect(scene.run(call)).toEqual(BY_NODE);
    });

    test("goes by where the data directory really is", async () => {
      await using scene = await open();
      const link = join(scene.directory, "link");
      await symlink(scene.pgdata, link);
      await scene.answer();
      expect(scene.run({ cwd: link, env: { PWD: link } })).toEqual(QUICK);
    });
  });

  describe("of wal-push", () => {
    const open = (): Promise<Scene> => Scene.open(shell, "push");

    test("believes what the pusher writes, and waits for it", async () => {
      await using scene = await open();
      await writeFile(join(scene.pgdata, scene.target), "wal");
      const session = await scene.enter();
      await scene.whileWaiting(`[ -f "$session"/answers-*/asked/${FILE} ] && rm "$session/pid"`);
      expect(scene.run()).toEqual(BY_NODE);
      expect(await scene.waited()).toBe(1);
      const spool = new PushSpool(session.folder, scene.pgdata);
      spool.acknowledge(FILE, fileVersion(join(scene.pgdata, scene.target)));
      expect(scene.run({ env: { PATH: "/nowhere" } })).toEqual(QUICK);
      await session.giveUp();
      expect(scene.run()).toEqual(BY_NODE);
    });

    test("needs no program to answer that a file is archived", async () => {
      await using scene = await open();
      await scene.answer();
      expect(scene.run({ env: { PATH: "/nowhere", PGARK_NODE: "" } })).toEqual(QUICK);
    });

    test.each(["00000002.history", `${FILE}.partial`, `${FILE}.00000028.backup`])(
      "answers for %s too",
      async (name) => {
        await using scene = await open();
        const call = { args: scene.args().map((word) => word.replace(FILE, name)) };
        await scene.begin(call);
        await scene.write(join(scene.pgdata, "pg_wal", name), "wal");
        expect(scene.run(call)).toEqual(BY_NODE);
        await scene.write(scene.answers("done", name), "");
        expect(scene.run(call)).toEqual(QUICK);
      },
    );

    test("tells node other words under each environment that decides where WAL goes", async () => {
      await using scene = await open();
      const environments = [{}, ...variables.flatMap((name) => [{ [name]: "a" }, { [name]: "b" }])];
      const words: string[] = [];
      for (const env of environments) words.push(await scene.wordsOf({ env }));
      for (const [index, said] of words.entries())
        expect(words.indexOf(said), JSON.stringify(environments[index])).toBe(index);
    });
  });

  describe("of wal-fetch", () => {
    const open = (): Promise<Scene> => Scene.open(shell, "fetch");

    test("believes what the prefetcher writes, and waits for it", async () => {
      await using scene = await open();
      const session = await scene.enter();
      const spool = new FetchSpool(session.folder);
      await spool.begin();
      await scene.whileWaiting(
        `for question in "$session"/answers-*/asked/${FILE}.*; do [ -f "$question" ] && rm "$session/pid"; done`,
      );
      expect(scene.run()).toEqual(BY_NODE);
      expect(await scene.waited()).toBe(1);
      const [question] = spool.questions();
      expect(question?.name).toBe(FILE);
      await writeFile(spool.incoming(FILE), "verified");
      spool.offer(FILE);
      expect(scene.run()).toEqual(QUICK);
      expect(await readFile(join(scene.pgdata, scene.target), "utf8")).toBe("verified");
    });

    test("moves the file into place, so that it is used once", async () => {
      await using scene = await open();
      await scene.answer();
      await writeFile(join(scene.pgdata, scene.target), "left over");
      expect(scene.run()).toEqual(QUICK);
      expect(await readFile(join(scene.pgdata, scene.target), "utf8")).toBe("verified");
      expect(await readdir(scene.answers("wal"))).toEqual([]);
      expect(scene.run()).toEqual(BY_NODE);
    });

    test("answers for a timeline history too", async () => {
      await using scene = await open();
      const call = { args: ["wal-fetch", "00000002.history", "pg_wal/RECOVERYHISTORY"] };
      await scene.begin(call);
      expect(scene.run(call)).toEqual(BY_NODE);
      await scene.write(scene.answers("wal", "00000002.history"), "1\t0/3000000\n");
      expect(scene.run(call)).toEqual(QUICK);
      expect(await readFile(join(scene.pgdata, "pg_wal/RECOVERYHISTORY"), "utf8")).toBe("1\t0/3000000\n");
    });
  });
});
