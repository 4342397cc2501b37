import { existsSync } from "node:fs";
import { readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { shells } from "./front-fixture.ts";
import { BY_NODE, type Call, DEAD, FILE, QUICK, Scene } from "./front-scene.ts";

describe.each(shells.filter(({ present }) => present))("waiting for the background process under $name", (shell) => {
  describe.each(["push", "fetch"] as const)("of wal-%s", (role) => {
    const open = (): Promise<Scene> => Scene.open(shell, role);

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
      await scene.whileWaiting(`
        [ $n != 1 ] || touch -t 202001010000 "$answers/asked/${FILE}"
        [ $n != 1 ] || touch -t 202001010001 "$session/pid"
        [ $n -lt 120 ] || rm "$session/pid"`);
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
