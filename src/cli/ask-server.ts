import { isPgarkError } from "../errors.ts";
import type { PgarkError } from "../errors.ts";
import type { Session } from "../postgres/connection.ts";
import type { Asked } from "../status/status-facts.ts";
import type { CommandRun } from "./command.ts";
import { connectionString } from "./connection-string.ts";

/** A server that has not answered in this time is taken for silent: a status must not hang. */
const patienceMs = 15_000;

/** What libpq's programs find a server by; naming any of them says that there should be one. */
const CONNECTION_VARIABLES = ["PGHOST", "PGHOSTADDR", "PGPORT", "PGSERVICE", "PGDATABASE"] as const;

/**
 * Connects to the server if that is possible, and lets `work` ask. Without a server all goes on: the session is then unknown,
 * with the reason. The session is ended when `work` is done, or when patience is.
 */
export async function withServer<T>(run: CommandRun, work: (session: Asked<Session>) => Promise<T>): Promise<T> {
  const { settings, io } = run;
  if (settings.values["store-only"]) return work({ known: false, why: "--store-only was given", expected: false });
  const expected = settings.origins.has("dbname") || CONNECTION_VARIABLES.some((name) => Boolean(io.env[name]));
  const patience = new AbortController();
  const timer = setTimeout(() => patience.abort(), patienceMs);
  const session = await connectTo(run, AbortSignal.any([io.signal, patience.signal])).catch((error: unknown) => {
    if (io.signal.aborted || !isPgarkError(error)) throw error;
    return silence(error, patience.signal.aborted, expected);
  });
  try {
    if (!session.known) return await work(session);
    patience.signal.addEventListener("abort", () => void session.value.end(), { once: true });
    return await work(session);
  } finally {
    clearTimeout(timer);
    if (session.known) await session.value.end();
  }
}

/** Asks something of a session, if there is one. What the server refuses to say is unknown, and no error. */
export async function askSession<T>(
  session: Asked<Session>,
  expected: boolean,
  question: (session: Session) => Promise<T>,
): Promise<Asked<T>> {
  if (!session.known) return { ...session, expected: session.expected && expected };
  try {
    return { known: true, value: await question(session.value) };
  } catch (error) {
    if (!isPgarkError(error, "postgres", "refused", "aborted")) throw error;
    return { known: false, why: `the server did not say: ${error.message}`, hint: error.hint, expected };
  }
}

async function connectTo({ settings, io, log }: CommandRun, signal: AbortSignal): Promise<Asked<Session>> {
  // The driver takes half a tenth of a second to load.
  const { connect } = await import("../postgres/connection.ts");
  const options = { ...connectionString(settings.values.dbname), environment: io.env, signal, log };
  return { known: true, value: await connect(options) };
}

function silence(error: PgarkError, timedOut: boolean, expected: boolean): Asked<never> {
  const reason = timedOut ? `no answer within ${patienceMs / 1000} s` : error.message;
  const where = error.object === undefined ? "" : ` at ${error.object}`;
  const hint = expected ? { hint: error.hint } : {};
  return { known: false, why: `the server${where} was not asked: ${reason}`, expected, ...hint };
}
