import { PassThrough } from "node:stream";
import { describe, expect, test } from "vitest";
import { createProgress, describeProgress, progressLines } from "../../src/cli/progress.ts";
import { createScreen } from "../../src/cli/screen.ts";
import { silentLog } from "../../src/log.ts";
import type { Log } from "../../src/log.ts";

function recorder() {
  const lines: string[] = [];
  let ms = 0;
  const log: Log = { ...silentLog, info: (message) => void lines.push(message) };
  return { log, lines, now: () => new Date(ms), pass: (milliseconds: number) => void (ms += milliseconds) };
}
const at = (doneBytes: number, phase = "copy") => ({ phase, doneBytes, totalBytes: 1000 * 2 ** 20, doneFiles: 1 });
const MB = 2 ** 20;

describe("progress lines", () => {
  test("come every ten per cent or ten seconds, whichever is first, and at the end", () => {
    const { log, lines, now, pass } = recorder();
    const { onProgress } = progressLines({ log, now, facts: false });
    onProgress(at(0));
    pass(1000);
    onProgress(at(99 * MB));
    expect(lines).toHaveLength(0);
    onProgress(at(100 * MB));
    expect(lines).toEqual(["copy: 10%, 100 MB of 1000 MB, 100 MB/s, 9 s left"]);
    pass(9999);
    onProgress(at(101 * MB));
    expect(lines).toHaveLength(1);
    pass(1);
    onProgress(at(101 * MB));
    expect(lines).toHaveLength(2);
    onProgress(at(1000 * MB));
    onProgress(at(1000 * MB));
    expect(lines).toHaveLength(3);
  });

  test("a new phase begins anew", () => {
    const { log, lines, now } = recorder();
    const { onProgress } = progressLines({ log, now, facts: false });
    onProgress(at(1000 * MB));
    onProgress(at(0, "wait"));
    onProgress(at(1000 * MB, "wait"));
    expect(lines).toEqual(["wait: 100%, 1000 MB of 1000 MB"]);
  });
});

test("nothing is known of the time left before the first byte, and nothing divided by zero", () => {
  expect(describeProgress({ phase: "copy", doneBytes: 0, totalBytes: 0, doneFiles: 0 }, 0)).toBe(
    "copy: 0%, 0 B of 0 B",
  );
});

test("a log line goes above the bar and the bar comes back", async () => {
  const stream = new PassThrough();
  const output = {
    isTerminal: true,
    columns: 80,
    write: (text: string) => void stream.write(text),
    deliver: async () => undefined,
    stream,
  };
  const screen = createScreen(output);
  const { now } = recorder();
  const bar = await createProgress({ screen, log: silentLog, now, enabled: true, facts: false });
  bar.onProgress(at(500 * MB));
  screen.line("a line\n");
  bar.stop();
  screen.line("after\n");
  const text = String(stream.read());
  expect(text).toContain("\r\u001b[Ka line\n");
  expect(text.endsWith("after\n")).toBe(true);
});

test("without progress nothing is written", async () => {
  const { log, lines, now, pass } = recorder();
  const screen = createScreen({
    isTerminal: false,
    columns: undefined,
    write: () => undefined,
    deliver: async () => undefined,
    stream: new PassThrough(),
  });
  const { onProgress } = await createProgress({ screen, log, now, enabled: false, facts: false });
  onProgress(at(0));
  pass(60_000);
  onProgress(at(900 * MB));
  expect(lines).toEqual([]);
});
