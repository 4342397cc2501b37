import { Writable } from "node:stream";
import type { Io, Output } from "../../src/cli/io.ts";

export interface TestIo extends Io {
  readonly written: { stdout: string; stderr: string };
}

/** An `Io` with nothing of the real process in it; what is written is kept. */
export function testIo(changes: Partial<Io> = {}): TestIo {
  const written = { stdout: "", stderr: "" };
  const output = (name: "stdout" | "stderr"): Output => ({
    isTerminal: false,
    columns: undefined,
    write: (text) => void (written[name] += text),
    deliver: async (text) => void (written[name] += text),
    stream: new Writable(),
  });
  return {
    argv: [],
    env: {},
    cwd: "/nowhere",
    stdout: output("stdout"),
    stderr: output("stderr"),
    now: () => new Date("2026-11-20T10:00:00Z"),
    startedAt: new Date("2026-11-20T10:00:00Z"),
    random: () => 0.5,
    sleep: async () => undefined,
    signal: new AbortController().signal,
    stoppedBy: () => undefined,
    hostName: "db1",
    processors: 8,
    userId: 1000,
    homeDirectory: undefined,
    install: "/opt/pgark",
    ...changes,
    written,
  };
}
