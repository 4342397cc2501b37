import { PgarkError } from "../../../errors.ts";
import type { StoreUrl } from "../../store-url.ts";
import { parseStoreUrl } from "../../store-url.ts";

/** What an `azure://` URL can say; documented in docs/stores.md. */
export interface AzureSettings {
  readonly url: StoreUrl;
  /** the storage account; else from the environment or the endpoint */
  readonly account: string | undefined;
  /** where the account's blob service is, for sovereign clouds, private endpoints and Azurite; without a trailing slash */
  readonly endpoint: string | undefined;
  /** a PEM file of certificate authorities, for an endpoint with one of its own */
  readonly caFile: string | undefined;
  /** access tier of what is written; the account's own when not set. Archive is none: it cannot be read back at once. */
  readonly tier: "Hot" | "Cool" | "Cold" | undefined;
  readonly encryptionScope: string | undefined;
  readonly tags: Readonly<Record<string, string>> | undefined;
  readonly lock: AzureLock | undefined;
}

/** A time-based immutability policy on each object. */
export interface AzureLock {
  /** whether the policy can still be shortened or taken away (Unlocked) or never (Locked) */
  readonly mode: "Unlocked" | "Locked";
  readonly days: number;
}

const known = ["account", "endpoint", "ca-file", "tier", "encryption-scope", "tags", "lock-mode", "lock-days"] as const;

/** Reads an `azure://` URL; throws `usage`. */
export function parseAzureUrl(text: string): AzureSettings {
  refuseSecrets(text);
  const url = parseStoreUrl(text, known);
  const { settings } = url;
  const tags = settings.text("tags");
  return {
    url,
    account: settings.text("account"),
    endpoint: endpointOf(text, settings.text("endpoint")),
    caFile: settings.text("ca-file"),
    tier: settings.oneOf("tier", "Hot", "Cool", "Cold"),
    encryptionScope: settings.text("encryption-scope"),
    tags: tags === undefined ? undefined : Object.fromEntries(new URLSearchParams(tags)),
    lock: lockOf(text, settings.oneOf("lock-mode", "Unlocked", "Locked"), settings.number("lock-days")),
  };
}

/** A SAS pasted into the URL would end up in logs and in `ps`. The message must not repeat it. */
function refuseSecrets(text: string): void {
  if (!/(\?|&|%3f|%26)sig(=|%3d)|[?&](sas|[a-z-]*key)=/i.test(text)) return;
  throw new PgarkError("usage", "a secret does not belong into the repository's URL", {
    operation: "open repository",
    object: text.replace(/\?.*$/s, ""),
    hint: "give the SAS in AZURE_STORAGE_SAS_TOKEN, an account's key in AZURE_STORAGE_KEY",
  });
}

function endpointOf(text: string, endpoint: string | undefined): string | undefined {
  if (endpoint === undefined) return undefined;
  const parsed = URL.canParse(endpoint) ? new URL(endpoint) : undefined;
  const plain = parsed !== undefined && parsed.username === "" && parsed.search === "" && parsed.hash === "";
  if (plain && /^https?:$/.test(parsed.protocol)) return parsed.href.replace(/\/+$/, "");
  throw new PgarkError("usage", "the endpoint is not an http or https URL", {
    operation: "open repository",
    object: text,
    hint: "write ?endpoint=https://account.blob.core.windows.net, with neither user nor query in it",
  });
}

function lockOf(text: string, mode: AzureLock["mode"] | undefined, days: number | undefined): AzureLock | undefined {
  if (mode === undefined && days === undefined) return undefined;
  if (mode !== undefined && days !== undefined && days > 0) return { mode, days };
  throw new PgarkError("usage", "a lock needs both a mode and a number of days", {
    operation: "open repository",
    object: text,
    hint: "write ?lock-mode=Unlocked&lock-days=30, or Locked",
  });
}
