import type { Storage } from "@google-cloud/storage";
import { isPgarkError, PgarkError } from "../../../errors.ts";

type Headers = Readonly<Record<string, string>>;

/** Where the headers that prove who we are come from. */
export interface GcsCredentials {
  /** Throws `denied` when there are none, `unavailable` when their issuer could not be asked. */
  headers(): Promise<Headers>;
  /** The service refused `refused`: whether others could be had, which `headers` then gives. */
  renew(refused: Headers): Promise<boolean>;
}

/** The issuer of tokens must have answered within so many milliseconds. */
const patienceMs = 30_000;

/** No credentials, as emulators have it. */
export const anonymous: GcsCredentials = {
  headers: async () => ({}),
  renew: async () => false,
};

/**
 * Application Default Credentials: GOOGLE_APPLICATION_CREDENTIALS (service account, workload identity federation), gcloud's
 * own login, the metadata server. The SDK finds them, keeps their token and renews it before it expires.
 */
export class DefaultCredentials implements GcsCredentials {
  readonly #auth: Storage["authClient"];
  readonly #endpoint: string;
  #pending: Promise<Headers> | undefined;
  #renewing: Promise<boolean> | undefined;

  constructor(storage: Storage) {
    this.#auth = storage.authClient;
    this.#endpoint = storage.apiEndpoint;
  }

  async headers(): Promise<Headers> {
    this.#pending ??= this.#ask().finally(() => {
      this.#pending = undefined;
    });
    return this.#pending;
  }

  async renew(refused: Headers): Promise<boolean> {
    this.#renewing ??= this.#renewOnce(refused).finally(() => {
      this.#renewing = undefined;
    });
    return this.#renewing;
  }

  async #renewOnce(refused: Headers): Promise<boolean> {
    // Another request may have renewed them since this one was sent.
    if ((await this.headers())["authorization"] !== refused["authorization"]) return true;
    const client = await this.#auth.getClient();
    client.setCredentials({ ...client.credentials, expiry_date: 1 });
    return (await this.headers())["authorization"] !== refused["authorization"];
  }

  async #ask(): Promise<Headers> {
    const { promise: tooLate, reject } = Promise.withResolvers<never>();
    const timer = setTimeout(() => {
      reject(unavailable(`there was no access token within ${patienceMs / 1000} s`));
    }, patienceMs);
    try {
      return Object.fromEntries(await Promise.race([this.#auth.getRequestHeaders(this.#endpoint), tooLate]));
    } catch (error) {
      throw credentialError(error);
    } finally {
      clearTimeout(timer);
    }
  }
}

/** Only its message is kept: requests for tokens hold secrets. */
function credentialError(error: unknown): PgarkError {
  if (isPgarkError(error)) return error;
  const message = error instanceof Error ? error.message : String(error);
  const status = statusOf(error);
  const isNetwork = status === undefined && error instanceof Error && "config" in error;
  if (isNetwork || (status !== undefined && (status >= 500 || status === 429 || status === 408))) {
    return unavailable(message);
  }
  return new PgarkError("denied", message, { operation: "get credentials", hint: hintFor(message, status) });
}

function statusOf(error: unknown): number | undefined {
  const { response } = error as { response?: { status?: unknown } };
  return typeof response?.status === "number" ? response.status : undefined;
}

function hintFor(message: string, status: number | undefined): string {
  if (/iat and exp|reasonable timeframe/.test(message)) return "this machine's clock is wrong: mend it (NTP)";
  if (message.includes("invalid_grant")) return "the key was deleted or disabled, or this machine's clock is wrong";
  if (status === 404) return "the machine or pod has no service account: attach one";
  if (status !== undefined)
    return "the issuer of tokens refused: check the service account, and federation's conditions";
  return (
    "set GOOGLE_APPLICATION_CREDENTIALS to the file of a service account or of workload identity federation, " +
    "or give the machine a service account"
  );
}

function unavailable(problem: string): PgarkError {
  return new PgarkError("unavailable", problem, {
    operation: "get credentials",
    hint: "the issuer of access tokens cannot be reached: check the metadata server, proxy and firewall",
  });
}
