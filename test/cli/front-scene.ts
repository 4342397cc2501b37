import { existsSync, rmSync } from "node:fs";
import { mkdir, readdir, readFile, realpath, rm, symlink, utimes, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { SpoolSession } from "../../src/spool/session.ts";
import { spoolFolder } from "../../src/spool/spool-folder.ts";
import { temporaryDirectory } from "../helpers/temp.ts";
import type { Ended, Shell } from "./front-fixture.ts";
import { fakeNode, installFront, pathOf, runFront, shellProgram } from "./front-fixture.ts";

export const FILE = "000000010000000A000000FE";

export type Role = "push" | "fetch";

/** The programs on PATH, and what else a test's own steps need. */
const tools = ["mv", "rm", "sleep", "touch"].map(pathOf);

/** The words of earlier calls: they depend on nothing else. */
const known = new Map<string, string>();

/** How the front is called; what is left out is the usual. */
export interface Call {
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** what the process does, in shell, before it is the front: its number is the same */
  readonly before?: string;
}

export interface SceneEnd extends Ended {
  /** whether node was called */
  readonly node: boolean;
}

/** The answer came from the spool. */
export const QUICK: SceneEnd = { code: 0, stdout: [], stderr: "", node: false };
/** Node was asked, which says "done" in a scene. */
export const BY_NODE: SceneEnd = { code: 0, stdout: [], stderr: "", node: true };

/** Times in a scene are whole seconds apart: busybox compares no finer. */
export const at = (seconds: number): Date => new Date(Date.UTC(2026, 10, 20, 10, 0, seconds));

/** No process can have this number: Linux ends at 2^22. */
export const DEAD = 4194305;

/**
 * A data directory, a front with a node that only notes that it was called, and a spool in which the test plays the background
 * process.
 */
export class Scene implements AsyncDisposable {
  readonly role: Role;
  /** all of it; its name has a space */
  readonly directory: string;
  readonly pgdata: string;
  /** holds `words` and `pid` */
  session: string;
  readonly #shell: Shell;
  readonly #remove: () => Promise<void>;

  private constructor(shell: Shell, role: Role, directory: string, remove: () => Promise<void>) {
    this.role = role;
    this.directory = directory;
    this.pgdata = join(directory, "data");
    this.session = this.sessionIn(`${this.pgdata}.pgark-spool`);
    this.#shell = shell;
    this.#remove = remove;
  }

  static async open(shell: Shell, role: Role): Promise<Scene> {
    const temporary = await temporaryDirectory("pgark front");
    const scene = new Scene(shell, role, await realpath(temporary.path), async () => temporary[Symbol.asyncDispose]());
    await installFront(join(scene.directory, "install"));
    await shellProgram(scene.#node, fakeNode("v24.0.0", `printf '%s' "$PGARK_FRONT_WORDS" >"$CALLED"`));
    await mkdir(join(scene.pgdata, "pg_wal"), { recursive: true });
    await scene.writePostmaster("4711", "1763632800");
    await scene.write(scene.config, "");
    await mkdir(scene.tools);
    for (const tool of tools) await symlink(tool, join(scene.tools, basename(tool)));
    return scene;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#remove();
  }

  get config(): string {
    return join(this.directory, "pgark.yaml");
  }

  /** All of PATH. */
  get tools(): string {
    return join(this.directory, "tools");
  }

  /** What PostgreSQL calls `%p`. */
  get target(): string {
    return this.role === "push" ? `pg_wal/${FILE}` : "pg_wal/RECOVERYXLOG";
  }

  /** The usual command line, and more flags. */
  args(...flags: readonly string[]): readonly string[] {
    const files = this.role === "push" ? [this.target] : [FILE, this.target];
    return [`wal-${this.role}`, ...files, "--cluster", "main", ...flags];
  }

  /** Where the session lies in a spool. */
  sessionIn(spool: string): string {
    return join(spool, "4711-1763632800", this.role);
  }

  /** A path among the answers. */
  answers(...path: readonly string[]): string {
    return join(this.session, "answers-1", ...path);
  }

  async write(path: string, text: string, time = at(0)): Promise<void> {
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, text);
    await utimes(path, time, time);
  }

  async writePostmaster(pid: string, started: string): Promise<void> {
    await this.write(join(this.pgdata, "postmaster.pid"), `${pid}\n${this.pgdata}\n${started}\n5432\n/tmp\n`);
  }

  /** Makes the session for the words of such calls. */
  async begin(call: Call = {}): Promise<void> {
    await this.writeWords(await this.wordsOf(call));
    const folders = this.role === "push" ? ["asked", "done", "failed"] : ["asked", "wal", "absent", "declined"];
    for (const folder of folders) await mkdir(this.answers(folder), { recursive: true });
    if (this.role === "push") await this.write(join(this.pgdata, this.target), "wal", at(0));
  }

  async writeWords(words: string): Promise<void> {
    await this.write(join(this.session, "words"), `${words}\n${this.config}\nanswers-1\n`);
  }

  /** The session of a real background process, for the usual call. */
  async enter(): Promise<SpoolSession> {
    const session = await SpoolSession.enter(
      {
        role: this.role,
        pgdata: this.pgdata,
        postmaster: { pid: 4711, started: "1763632800" },
        spool: spoolFolder(undefined, this.pgdata),
        words: await this.wordsOf(),
        configFile: this.config,
        configuredAt: new Date(),
      },
      new Date(),
    );
    if (session === undefined) throw new Error("another process answers in this session");
    return session;
  }

  /** Answers that the file is archived, or fetched. */
  async give(file = FILE): Promise<void> {
    if (this.role === "push") await this.write(this.answers("done", file), "");
    else await this.write(this.answers("wal", file), "verified");
  }

  /** A session in which the file is answered: the front needs nothing else. */
  async answer(call: Call = {}): Promise<void> {
    await this.begin(call);
    await this.give();
  }

  /** Lets the session have a background process: this number, last heard of then. */
  async live(pid = process.pid, heardOf = at(0)): Promise<void> {
    await this.write(join(this.session, "pid"), `${pid}\n`, heardOf);
  }

  /** What the front hands to node of such a call. */
  async wordsOf({ args = this.args(), env = {} }: Call = {}): Promise<string> {
    const key = JSON.stringify([this.#shell.name, args, env]);
    let words = known.get(key);
    if (words === undefined) {
      if (!this.run({ args, env }).node) throw new Error("the front did not call node");
      words = await readFile(this.#called, "utf8");
      known.set(key, words);
    }
    return words;
  }

  run(call: Call = {}): SceneEnd {
    rmSync(this.#called, { force: true });
    const env = { PATH: this.tools, PGARK_NODE: this.#node, CALLED: this.#called, FAKE_END: "exit 100", ...call.env };
    const front = join(this.directory, "install/bin/pgark");
    const ended = runFront(this.#shell, front, call.args ?? this.args(), env, call.cwd ?? this.pgdata, call.before);
    return { ...ended, node: existsSync(this.#called) };
  }

  get #called(): string {
    return join(this.directory, "called");
  }

  get #node(): string {
    return join(this.directory, "node");
  }

  /**
   * From now on the front sleeps by running `step`, in shell: what happens while it waits. `$n` counts, `$answers` and
   * `$session` are the folders.
   */
  async whileWaiting(step: string): Promise<void> {
    await rm(join(this.tools, "sleep"));
    await rm(join(this.directory, "waited"), { force: true });
    await shellProgram(
      join(this.tools, "sleep"),
      `n=0; counter='${this.directory}/waited'; [ ! -f "$counter" ] || read -r n <"$counter"
n=$((n + 1)); echo $n >"$counter"
session='${this.session}' answers='${this.answers()}' wal='${join(this.pgdata, "pg_wal", FILE)}'
${step}
`,
    );
  }

  /** The files or questions that are asked for. */
  questions(): Promise<readonly string[]> {
    return readdir(this.answers("asked"));
  }

  /** How often the front slept. */
  async waited(): Promise<number> {
    return Number(await readFile(join(this.directory, "waited"), "utf8").catch(() => "0"));
  }
}
