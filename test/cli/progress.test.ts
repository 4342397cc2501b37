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
  test("come with every ten per cent, but not within five seconds of each other, and once a minute in any case", () => {
    const { log, lines, now, pass } = recorder();
    const { onProgress } = progressLines({ log, now, facts: false });
    onProgress(at(0));
    pass(4999);
    onProgress(at(900 * MB));
    expect(lines).toHaveLength(0);
    pass(1);
    onProgress(at(99 * MB));
    expect(lines).toHaveLength(0);
    onProgress(at(100 * MB));
    expect(lines).toEqual(["copy: 10%, 100 MB of 1000 MB, 20.0 MB/s, 45 s left"]);
    pass(59_999);
    onProgress(at(101 * MB));
    expect(lines).toHaveLength(1);
    pass(1);
    onProgress(at(101 * MB));
    expect(lines).toHaveLength(2);
  });

  test("of what is done at once there is one, at its end, be it less than was expected", () => {
    const { log, lines, now, pass } = recorder();
    const { onProgress, stop } = progressLines({ log, now, facts: false });
    onProgress(at(0));
    pass(500);
    onProgress(at(500 * MB));
    pass(500);
    onProgress(at(998 * MB));
    expect(lines).toEqual([]);
    pass(60_000); // until the last WAL is there, say
    stop("done");
    stop("done");
    expect(lines).toEqual(["copy: done, 998 MB in 1 s, 998 MB/s"]);
  });

  test("what broke off is not said to be done", () => {
    const { log, lines, now } = recorder();
    const { onProgress, stop } = progressLines({ log, now, facts: false });
    onProgress(at(0));
    onProgress(at(1000 * MB));
    stop("failed");
    expect(lines).toEqual([]);
  });

  test("a new phase ends the one before and begins anew", () => {
    const { log, lines, now, pass } = recorder();
    const { onProgress, stop } = progressLines({ log, now, facts: false });
    onProgress(at(0));
    pass(1000);
    onProgress(at(1000 * MB));
    onProgress(at(0, "wait"));
    expect(lines).toEqual(["copy: done, 1000 MB in 1 s, 1000 MB/s"]);
    pass(1000);
    onProgress(at(1000 * MB, "wait"));
    stop("done");
    expect(lines.slice(1)).toEqual(["wait: done, 1000 MB in 1 s, 1000 MB/s"]);
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
  bar.stop("done");
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
