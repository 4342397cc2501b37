import { describe, expect, test } from "vitest";
import { createLogger } from "../../src/cli/logger.ts";
import type { LogLevel } from "../../src/cli/logger.ts";
import { lsn } from "../../src/postgres/lsn.ts";

function logger(level: LogLevel, format: "text" | "json") {
  const lines: string[] = [];
  let seconds = 0;
  const made = createLogger({
    level,
    format,
    now: () => new Date(Date.UTC(2026, 10, 20, 10, 0, seconds++)),
    write: (line) => void lines.push(line),
    paint: (_style, text) => text,
  });
  return { ...made, lines };
}

describe("log lines", () => {
  test("are text with the time they were given at, in the order they were given in", async () => {
    const { log, drain, lines } = logger("info", "text");
    log.info("backup begins");
    log.warn("a page is bad", { path: "base/1/2", block: 3, lsn: lsn(5n) });
    await drain();
    log.info("later");
    expect(lines).toEqual([
      "2026-11-20 10:00:00 UTC [info] backup begins\n",
      "2026-11-20 10:00:01 UTC [warn] a page is bad (path: base/1/2, block: 3, lsn: 5)\n",
      "2026-11-20 10:00:02 UTC [info] later\n",
    ]);
  });

  test("do not repeat in text what the message says already", async () => {
    const { log, drain, lines } = logger("info", "text");
    log.warn("cannot read /srv/x", { object: "/srv/x" });
    await drain();
    expect(lines).toEqual(["2026-11-20 10:00:00 UTC [warn] cannot read /srv/x\n"]);
  });

  test("are JSON objects with --log-format json", async () => {
    const { log, drain, lines } = logger("debug", "json");
    log.debug("read", { bytes: 5, error: new Error("x") });
    await drain();
    expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual([
      { level: "debug", time: "2026-11-20T10:00:00.000Z", message: "read", bytes: 5, error: "x" },
    ]);
  });

  test.each([
    ["debug", 3],
    ["info", 2],
    ["warn", 1],
    ["silent", 0],
  ] as const)("at level %s, %i of three are written", async (level, count) => {
    const { log, drain, lines } = logger(level, "text");
    log.debug("a");
    log.info("b");
    log.warn("c");
    await drain();
    expect(lines).toHaveLength(count);
  });
});
