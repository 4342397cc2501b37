import { existsSync } from "node:fs";
import { chown, readdir, readFile, rename, rm, symlink, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { fileVersion, PushSpool } from "../../src/archive/push-spool.ts";
import { FetchSpool } from "../../src/restore/fetch-spool.ts";
import { environmentName, optionsOf } from "../../src/cli/options.ts";
import type { OptionName } from "../../src/cli/options.ts";
import { shells } from "./front-fixture.ts";
import { at, BY_NODE, type Call, DEAD, FILE, QUICK, type Role, Scene } from "./front-scene.ts";

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
        scene.args("000000010000000A000000FF"),
        scene.args("--cluster", "000000010000000A000000FF"),
        scene.args("00000002.history"),
        scene.args("pg_wal/000000010000000A000000FF"),
        scene.args().filter((word) => word !== scene.target),
        [`wal-${role}`, "--cluster", "main"],
      ]) {
        await scene.answer({ args });
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

    test("has node do it when no process is there to ask, and leaves no question", async () => {
      await using scene = await open();
      await scene.begin();
      expect(scene.run()).toEqual(BY_NODE);
      for (const pid of [`${DEAD}\n`, "", "no number\n", "12 34\n", `${process.pid}`]) {
        await scene.write(join(scene.session, "pid"), pid);
        await scene.whileWaiting("");
        expect(scene.run()).toEqual(BY_NODE);
      }
      expect(await scene.questions()).toEqual([]);
    });

    test("has node do it when the process ends while it is waited for", async () => {
      await using scene = await open();
      for (const end of [`echo ${DEAD} >"$session/pid"`, `rm "$session/pid"`]) {
        await scene.begin();
        await scene.live(process.pid, new Date("2038-01-01"));
        await scene.whileWaiting(`[ $n -lt 3 ] || ${end}`);
        expect(scene.run()).toEqual(BY_NODE);
        expect(await scene.waited()).toBe(3);
      }
    });

    test("has node do it when the question cannot be left, or was taken away with its folder", async () => {
      await using scene = await open();
      await scene.begin();
      await scene.live(process.pid, new Date("2038-01-01"));
      await rm(scene.answers("asked"), { recursive: true });
      expect(scene.run()).toEqual(BY_NODE);
      await scene.begin();
      await scene.whileWaiting(`rm -rf "$answers"`);
      expect(scene.run()).toEqual(BY_NODE);
    });

    test("ends its wait also where there is no program to wait with", async () => {
      await using scene = await open();
      await scene.begin();
      await scene.live();
      expect(scene.run({ env: { PATH: "/nowhere" } })).toMatchObject({ code: 0, node: true });
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
      await spool.acknowledge(FILE, await fileVersion(join(scene.pgdata, scene.target)));
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

    test("has node do it when the process lives but has not been heard of since it was asked", async () => {
      await using scene = await open();
      await scene.begin();
      await scene.live();
      await scene.whileWaiting("");
      expect(scene.run()).toEqual(BY_NODE);
      expect(await scene.waited()).toBe(50);
    });

    test("has node do it when it was heard of once, and then no more", async () => {
      await using scene = await open();
      await scene.begin();
      await scene.live();
      await scene.whileWaiting(
        `[ $n != 1 ] || touch -t 203801010000 "$session/pid"; [ $n != 60 ] || touch -t 202001010000 "$session/pid"`,
      );
      expect(scene.run()).toEqual(BY_NODE);
      expect(await scene.waited()).toBe(100);
    });

    test("waits for a process that is at work, as long as it is heard of", async () => {
      await using scene = await open();
      await scene.begin();
      await scene.live();
      await scene.whileWaiting(`
        [ -f "$answers/asked/${FILE}" ] || exit 0
        touch -t 203801010000 "$session/pid"
        [ $n -lt 51 ] || touch -r "$wal" "$answers/done/${FILE}"`);
      expect(scene.run()).toEqual(QUICK);
      expect(await scene.waited()).toBe(51);
    });

    test("takes an acknowledgement that came just before the end of its process", async () => {
      await using scene = await open();
      await scene.begin();
      await scene.live();
      await scene.whileWaiting(`touch -r "$wal" "$answers/done/${FILE}"; rm "$session/pid"`);
      expect(scene.run()).toEqual(QUICK);
    });

    test("tells of a failure once, and then has node try", async () => {
      await using scene = await open();
      await scene.begin();
      await scene.live();
      await scene.whileWaiting(`printf 'pgark: no\\nHINT: a  \\\\b\\n' >"$answers/failed/${FILE}"`);
      expect(scene.run()).toEqual({ code: 1, stdout: [], stderr: "pgark: no\nHINT: a  \\b\n", node: false });
      await scene.live(DEAD);
      expect(scene.run()).toEqual(BY_NODE);
    });

    test("tells of a failure that was met ahead, also when its process has ended", async () => {
      await using scene = await open();
      await scene.begin();
      await writeFile(scene.answers("failed", FILE), "pgark: no\n");
      expect(scene.run()).toEqual({ code: 1, stdout: [], stderr: "pgark: no\n", node: false });
      expect(await readdir(scene.answers("failed"))).toEqual([]);
    });

    test("an acknowledgement is stronger than a failure before it", async () => {
      await using scene = await open();
      await scene.answer();
      await writeFile(scene.answers("failed", FILE), "pgark: no\n");
      expect(scene.run()).toEqual(QUICK);
    });

    test("has node try when the failure that it tells of cannot be removed", async () => {
      await using scene = await open();
      await scene.begin();
      await writeFile(scene.answers("failed", FILE), "pgark: no\n");
      expect(scene.run({ env: { PATH: "/nowhere" } })).toMatchObject({ code: 0, node: true });
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
      const [question] = await spool.questions();
      expect(question?.name).toBe(FILE);
      await writeFile(spool.incoming(FILE), "verified");
      await spool.offer(FILE);
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

    test.each([
      ["exits with 0 when the file is there now", `echo >"$answers/wal/${FILE}"`, QUICK],
      ["exits with 1 when it is absent", `echo >"$answers/absent/\${question##*/}"`, { ...QUICK, code: 1 }],
      ["leaves it to node when that was declined", `echo >"$answers/declined/\${question##*/}"`, BY_NODE],
    ])("waits for a process that is at work, and %s", async (_what, step, end) => {
      await using scene = await open();
      await scene.begin();
      await scene.live();
      await scene.whileWaiting(`
        for question in "$answers"/asked/${FILE}.*; do [ -f "$question" ] || exit 0; done
        touch -t 203801010000 "$session/pid"
        [ $n -lt 3 ] || { ${step}; }`);
      expect(scene.run()).toEqual(end);
      expect(await scene.waited()).toBe(3);
    });

    test("takes no answer to another process for one to itself", async () => {
      await using scene = await open();
      await scene.begin();
      for (const folder of ["absent", "declined"]) await writeFile(scene.answers(folder, `${FILE}.1`), "");
      await scene.live();
      await scene.whileWaiting(`[ $n -lt 3 ] || rm "$session/pid"`);
      expect(scene.run()).toEqual(BY_NODE);
      expect(await scene.waited()).toBe(3);
    });

    describe("when a process of its number was answered before it", () => {
      /** The shell that becomes the front leaves the old answer first. */
      const answeredBefore = (scene: Scene, folder: string): Call => ({
        before: `: >'${scene.answers(folder, FILE)}'.$$`,
      });

      test("does not believe that the file is absent", async () => {
        await using scene = await open();
        await scene.begin();
        await scene.live();
        await scene.whileWaiting(`[ $n -lt 3 ] || echo >"$answers/wal/${FILE}"`);
        expect(scene.run(answeredBefore(scene, "absent"))).toEqual(QUICK);
        expect(await scene.waited()).toBe(3);
        expect(await readdir(scene.answers("absent"))).toEqual([]);
      });

      test("nor that it was declined", async () => {
        await using scene = await open();
        await scene.begin();
        await scene.live();
        await scene.whileWaiting(`[ $n -lt 3 ] || echo >"$answers/wal/${FILE}"`);
        expect(scene.run(answeredBefore(scene, "declined"))).toEqual(QUICK);
      });

      test("has node do it when the old answer cannot be removed", async () => {
        await using scene = await open();
        await scene.begin();
        await scene.live();
        const call = answeredBefore(scene, "absent");
        expect(scene.run({ ...call, env: { PATH: "/nowhere" } })).toMatchObject({ code: 0, node: true });
      });
    });

    test.each([
      [false, 200],
      [true, 2],
    ])(
      "has node do it when the file cannot be moved into place, and never says that it is absent (standby: %s)",
      async (standby, code) => {
        await using scene = await open();
        await scene.answer();
        await rm(join(scene.pgdata, "pg_wal"), { recursive: true });
        if (standby) await writeFile(join(scene.pgdata, "standby.signal"), "");
        const ended = scene.run({ env: { FAKE_END: "exit 103" } });
        expect(ended).toMatchObject({ code, node: true });
        expect(ended.stderr).not.toBe("");
        expect(existsSync(scene.answers("wal", FILE))).toBe(true);
        expect(scene.run({ env: { PATH: "/nowhere" } })).toMatchObject({ code: 0, node: true });
      },
    );
  });
});
