import { get } from "node:http";
import { expect, test } from "vitest";
import { startMetricsServer } from "../../src/cli/metrics-server.ts";
import type { MetricsServer } from "../../src/cli/metrics-server.ts";

interface Looks {
  readonly server: MetricsServer;
  /** collections that were begun */
  readonly begun: () => number;
  /** lets the one under way end */
  readonly finish: (text: string) => void;
  readonly fail: (error: Error) => void;
  readonly pass: (milliseconds: number) => void;
}

/** A server whose collections end when they are told to, and whose clock stands still. */
async function startServer(intervalMs = 1000): Promise<Looks> {
  let [begun, time] = [0, 0];
  let turn = Promise.withResolvers<string>();
  const server = await startMetricsServer({
    listen: { host: "127.0.0.1", port: 0 },
    intervalMs,
    contentType: "text/plain; version=0.0.4",
    now: () => time,
    collect() {
      begun++;
      turn = Promise.withResolvers();
      return turn.promise;
    },
  });
  return {
    server,
    begun: () => begun,
    finish: (text) => turn.resolve(text),
    fail: (error) => turn.reject(error),
    pass: (milliseconds) => void (time += milliseconds),
  };
}

/** Resolves once the server has the request: when it began to collect, or gave its answer. */
async function ask(looks: Looks): Promise<{ readonly answer: Promise<string> }> {
  const before = looks.begun();
  const answer = fetch(`${looks.server.url}/metrics`).then((response) => response.text());
  const settled = answer.then(() => true);
  while (looks.begun() === before && !(await Promise.race([settled, nextTurn()])));
  return { answer };
}

function nextTurn(): Promise<false> {
  return new Promise((resolve) => setImmediate(() => resolve(false)));
}

/** Sends a request and resolves when the server has answered another one that was sent after it. */
async function queueBehind(looks: Looks): Promise<{ readonly answer: Promise<string> }> {
  const answer = fetch(`${looks.server.url}/metrics`).then((response) => response.text());
  await fetch(`${looks.server.url}/healthz`);
  return { answer };
}

test("who asks while it looks waits for the same look", async () => {
  const looks = await startServer();
  const first = await ask(looks);
  const others = await Promise.all([queueBehind(looks), queueBehind(looks)]);
  looks.finish("one\n");
  for (const { answer } of [first, ...others]) expect(await answer).toBe("one\n");
  expect(looks.begun()).toBe(1);
  await looks.server.close();
});

test("within the interval the last look is given out, afterwards it looks again", async () => {
  const looks = await startServer(1000);
  const first = await ask(looks);
  looks.finish("one\n");
  await first.answer;
  looks.pass(999);
  expect(await (await ask(looks)).answer).toBe("one\n");
  looks.pass(1);
  const again = await ask(looks);
  looks.finish("two\n");
  expect(await again.answer).toBe("two\n");
  expect(looks.begun()).toBe(2);
  await looks.server.close();
});

test("a look that fails is an error of that request, and the next one looks anew", async () => {
  const looks = await startServer();
  const failing = await ask(looks);
  looks.fail(new Error("stopped"));
  expect(await failing.answer).toBe("stopped\n");
  const next = await ask(looks);
  looks.finish("fine\n");
  expect(await next.answer).toBe("fine\n");
  await looks.server.close();
});

test("it lives without looking, and knows no other paths and methods", async () => {
  const { server, begun } = await startServer();
  const statusOf = async (path: string, method = "GET"): Promise<number> =>
    (await fetch(`${server.url}${path}`, { method })).status;
  expect([await statusOf("/healthz"), await statusOf("/"), await statusOf("/metrics", "POST")]).toEqual([
    200, 404, 405,
  ]);
  expect(begun()).toBe(0);
  await server.close();
});

test("closing ends requests that wait", async () => {
  const looks = await startServer();
  const request = get(`${looks.server.url}/metrics`);
  const cut = new Promise((resolve) => request.once("error", resolve));
  while (looks.begun() === 0) await nextTurn();
  await looks.server.close();
  expect(await cut).toMatchObject({ code: "ECONNRESET" });
  looks.finish("too late\n");
});

test("a port that is taken is an error that names it", async () => {
  const { server } = await startServer();
  const port = Number(new URL(server.url).port);
  const options = { listen: { host: "127.0.0.1", port }, intervalMs: 1, contentType: "text/plain", now: () => 0 };
  await expect(startMetricsServer({ ...options, collect: async () => "" })).rejects.toMatchObject({
    code: "io",
    object: `127.0.0.1:${port}`,
  });
  await server.close();
});
