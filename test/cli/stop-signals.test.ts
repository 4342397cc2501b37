import { expect, test } from "vitest";
import { watchStopSignals } from "../../src/cli/stop-signals.ts";
import type { StopSignal } from "../../src/cli/stop-signals.ts";

function watched() {
  const listeners = new Map<StopSignal, () => void>();
  const exits: number[] = [];
  let ms = 0;
  const stop = watchStopSignals({
    on: (signal, listener) => void listeners.set(signal, listener),
    now: () => ms,
    exit: (code) => void exits.push(code),
  });
  return {
    stop,
    exits,
    send: (signal: StopSignal) => listeners.get(signal)?.(),
    pass: (more: number) => void (ms += more),
  };
}

test("the first signal asks for a clean end, and is remembered", () => {
  const { stop, exits, send } = watched();
  expect(stop.stoppedBy()).toBeUndefined();
  send("SIGTERM");
  send("SIGINT");
  expect(stop.signal.aborted).toBe(true);
  expect(stop.stoppedBy()).toBe("SIGTERM");
  expect(exits).toEqual([]);
});

test("the same signal told twice, by the process group and by the front, is one", () => {
  const { exits, send, pass } = watched();
  send("SIGTERM");
  pass(999);
  send("SIGTERM");
  expect(exits).toEqual([]);
  pass(1);
  send("SIGTERM");
  expect(exits).toEqual([143]);
});
