import { AnonymousCredential, BlobServiceClient, StorageSharedKeyCredential } from "@azure/storage-blob";
import { PgarkError } from "../../../errors.ts";
import type { AzureSettings } from "./azure-settings.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** Whatever the SDK signs requests with; the token kind is `@azure/identity`'s. */
export type AzureCredential = BlobServiceClient["credential"];

/** The blob service of one account, and how to sign for it. */
export interface AzureAccess {
  /** without a trailing slash */
  readonly endpoint: string;
  /** with a leading question mark, or empty; a secret */
  readonly sas: string;
  readonly credential: AzureCredential;
}

/**
 * Finds account and credentials where Azure's own tools look for them: a connection string, an account's key, a SAS, and at
 * last the identity that the machine, the workload, the environment or the Azure CLI has. Throws `usage` when no account is
 * named anywhere, or when the URL and the connection string name two.
 */
export async function findAzureAccess(settings: AzureSettings, environment: Environment): Promise<AzureAccess> {
  const connection = valueOf(environment, "AZURE_STORAGE_CONNECTION_STRING");
  if (connection !== undefined) return fromConnectionString(settings, connection);
  const account = settings.account ?? valueOf(environment, "AZURE_STORAGE_ACCOUNT") ?? accountOf(settings.endpoint);
  const endpoint =
    settings.endpoint ?? (account === undefined ? undefined : `https://${account}.blob.core.windows.net`);
  if (endpoint === undefined) throw noAccount(settings);
  const key = valueOf(environment, "AZURE_STORAGE_KEY") ?? valueOf(environment, "AZURE_STORAGE_ACCESS_KEY");
  if (key !== undefined) {
    if (account === undefined) throw noAccount(settings);
    return { endpoint, sas: "", credential: new StorageSharedKeyCredential(account, key) };
  }
  const sas = valueOf(environment, "AZURE_STORAGE_SAS_TOKEN");
  if (sas !== undefined) {
    return { endpoint, sas: `?${sas.replace(/^\?/, "")}`, credential: new AnonymousCredential() };
  }
  return { endpoint, sas: "", credential: await defaultCredential(settings, endpoint) };
}

/** The string is read by the SDK, which knows all of its forms; whatever is wrong with it, the message must not show it. */
function fromConnectionString(settings: AzureSettings, text: string): AzureAccess {
  let service: BlobServiceClient;
  try {
    service = BlobServiceClient.fromConnectionString(withDefaults(text));
  } catch {
    throw new PgarkError("usage", "AZURE_STORAGE_CONNECTION_STRING cannot be read", {
      operation: "open repository",
      object: settings.url.text,
      hint: "copy it as a whole from the account's access keys: AccountName=...;AccountKey=...;EndpointSuffix=...",
    });
  }
  const { accountName, credential } = service;
  if (settings.account !== undefined && accountName !== "" && settings.account !== accountName) {
    throw new PgarkError("usage", `the connection string is for the account "${accountName}"`, {
      operation: "open repository",
      object: settings.url.text,
      hint: "correct ?account=... in the repository's URL, or take AZURE_STORAGE_CONNECTION_STRING away",
    });
  }
  const [endpoint = "", sas] = service.url.split("?", 2);
  return {
    endpoint: settings.endpoint ?? endpoint.replace(/\/+$/, ""),
    sas: sas === undefined ? "" : `?${sas}`,
    credential,
  };
}

/** What may be left out elsewhere, this SDK insists on. */
function withDefaults(connection: string): string {
  const defaults = { DefaultEndpointsProtocol: "https", EndpointSuffix: "core.windows.net" };
  const missing = Object.entries(defaults).filter(([name]) => !connection.includes(`${name}=`));
  return [connection.replace(/;\s*$/, ""), ...missing.map(([name, value]) => `${name}=${value}`)].join(";");
}

async function defaultCredential(settings: AzureSettings, endpoint: string): Promise<AzureCredential> {
  if (endpoint.startsWith("http:")) {
    throw new PgarkError("usage", "there are no credentials that could be sent over http", {
      operation: "open repository",
      object: settings.url.text,
      hint: "set AZURE_STORAGE_KEY or AZURE_STORAGE_SAS_TOKEN; a token needs an https endpoint",
    });
  }
  // Several times the size of the storage client, so only when nothing simpler is there.
  const { DefaultAzureCredential } = await import("@azure/identity");
  return new DefaultAzureCredential();
}

/** `https://account.blob.core.windows.net` and its like in the other clouds. */
function accountOf(endpoint: string | undefined): string | undefined {
  return endpoint === undefined ? undefined : /^https?:\/\/([a-z0-9]+)\.blob\./.exec(endpoint)?.[1];
}

function noAccount(settings: AzureSettings): PgarkError {
  return new PgarkError("usage", "no storage account is named", {
    operation: "open repository",
    object: settings.url.text,
    hint: "add ?account=NAME to the repository's URL, or set AZURE_STORAGE_ACCOUNT or AZURE_STORAGE_CONNECTION_STRING",
  });
}

function valueOf(environment: Environment, name: string): string | undefined {
  return environment[name] === "" ? undefined : environment[name];
}
