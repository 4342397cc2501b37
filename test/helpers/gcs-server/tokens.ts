import { createPublicKey, randomBytes, verify } from "node:crypto";
import { ApiError } from "./api-error.ts";

/** A service account as its key file has it, as far as it is needed here. */
export interface ServiceAccount {
  readonly client_email: string;
  readonly private_key: string;
}

/** Who may come in: bearers of tokens that were issued here, and of tokens that a service account signed itself. */
export class Tokens {
  readonly #account: ServiceAccount | undefined;
  #valid = new Set<string>();

  constructor(account: ServiceAccount | undefined) {
    this.#account = account;
  }

  issue(): Readonly<Record<string, unknown>> {
    const token = `ya29.${randomBytes(16).toString("hex")}`;
    this.#valid.add(token);
    return { access_token: token, expires_in: 3599, token_type: "Bearer", issued_token_type: accessToken };
  }

  revokeAll(): void {
    this.#valid = new Set();
  }

  check(authorization: string | undefined): void {
    const token = /^Bearer (.+)$/.exec(authorization ?? "")?.[1];
    if (token === undefined) {
      const problem = "Anonymous caller does not have storage access to the Google Cloud Storage resource.";
      throw new ApiError(401, "required", problem);
    }
    if (!this.#valid.has(token) && !this.#isSigned(token)) throw new ApiError(401, "authError", "Invalid Credentials");
  }

  #isSigned(token: string): boolean {
    const [header, claims, signature] = token.split(".");
    if (this.#account === undefined || header === undefined || claims === undefined || signature === undefined) {
      return false;
    }
    const key = createPublicKey(this.#account.private_key);
    const signed = Buffer.from(`${header}.${claims}`);
    if (!verify("RSA-SHA256", signed, key, Buffer.from(signature, "base64url"))) return false;
    const { iss, exp } = JSON.parse(Buffer.from(claims, "base64url").toString()) as { iss: string; exp: number };
    return iss === this.#account.client_email && exp * 1000 > Date.now();
  }
}

const accessToken = "urn:ietf:params:oauth:token-type:access_token";
