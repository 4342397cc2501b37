import { inspect } from "node:util";
import { AnonymousCredential, StorageSharedKeyCredential } from "@azure/storage-blob";
import { describe, expect, test } from "vitest";
import { findAzureAccess } from "../../src/storage/drivers/azure/azure-credentials.ts";
import type { AzureAccess } from "../../src/storage/drivers/azure/azure-credentials.ts";
import { parseAzureUrl } from "../../src/storage/drivers/azure/azure-settings.ts";

const key = Buffer.from("a secret key").toString("base64");
const connection = `DefaultEndpointsProtocol=https;AccountName=theirs;AccountKey=${key};EndpointSuffix=core.windows.net`;

describe("findAzureAccess", () => {
  test("takes account and key from the environment", async () => {
    const access = await find("", { AZURE_STORAGE_ACCOUNT: "ours", AZURE_STORAGE_KEY: key });
    expect(access).toMatchObject({ endpoint: "https://ours.blob.core.windows.net", sas: "" });
    expect(accountOf(access)).toBe("ours");
    const other = await find("", { AZURE_STORAGE_ACCOUNT: "ours", AZURE_STORAGE_ACCESS_KEY: key });
    expect(accountOf(other)).toBe("ours");
  });

  test("prefers the account of the URL, and takes it from the endpoint as well", async () => {
    const environment = { AZURE_STORAGE_ACCOUNT: "ours", AZURE_STORAGE_KEY: key };
    expect(accountOf(await find("?account=other", environment))).toBe("other");
    const endpoint = "https://another.blob.core.usgovcloudapi.net";
    const access = await find(`?endpoint=${endpoint}`, { AZURE_STORAGE_KEY: key });
    expect(access.endpoint).toBe(endpoint);
    expect(accountOf(access)).toBe("another");
  });

  test("takes a connection string before all else, as Azure's tools do", async () => {
    const environment = {
      AZURE_STORAGE_CONNECTION_STRING: connection,
      AZURE_STORAGE_ACCOUNT: "ours",
      AZURE_STORAGE_KEY: key,
    };
    const access = await find("", environment);
    expect(access.endpoint).toBe("https://theirs.blob.core.windows.net");
    expect(accountOf(access)).toBe("theirs");
    expect((await find("?endpoint=https://elsewhere", environment)).endpoint).toBe("https://elsewhere");
  });

  test("understands a connection string that says no more than it must", async () => {
    const access = await find("", { AZURE_STORAGE_CONNECTION_STRING: `AccountName=theirs;AccountKey=${key};` });
    expect(access.endpoint).toBe("https://theirs.blob.core.windows.net");
    expect(accountOf(access)).toBe("theirs");
  });

  test("takes a SAS, with or without its question mark, and one in a connection string", async () => {
    for (const sas of ["sv=1&sig=x%3D", "?sv=1&sig=x%3D"]) {
      const access = await find("?account=ours", { AZURE_STORAGE_SAS_TOKEN: sas });
      expect(access).toMatchObject({ endpoint: "https://ours.blob.core.windows.net", sas: "?sv=1&sig=x%3D" });
      expect(access.credential).toBeInstanceOf(AnonymousCredential);
    }
    const text = "BlobEndpoint=https://theirs.blob.core.windows.net/;SharedAccessSignature=sv=1&sig=x%3D";
    expect(await find("", { AZURE_STORAGE_CONNECTION_STRING: text })).toMatchObject({
      endpoint: "https://theirs.blob.core.windows.net",
      sas: "?sv=1&sig=x%3D",
    });
  });

  test("takes what is set to nothing for not set", async () => {
    const environment = {
      AZURE_STORAGE_CONNECTION_STRING: "",
      AZURE_STORAGE_KEY: "",
      AZURE_STORAGE_SAS_TOKEN: "sig=x",
    };
    expect((await find("?account=ours", environment)).sas).toBe("?sig=x");
  });

  test("refuses a connection string for another account than the URL's", async () => {
    await expect(find("?account=ours", { AZURE_STORAGE_CONNECTION_STRING: connection })).rejects.toMatchObject({
      code: "usage",
      message: 'the connection string is for the account "theirs"',
    });
  });

  test("refuses a connection string that it cannot read, without showing it", async () => {
    const failure = find("", { AZURE_STORAGE_CONNECTION_STRING: `AccountKey=${key}` });
    await expect(failure).rejects.toMatchObject({ code: "usage" });
    const thrown: unknown = await failure.catch((error: unknown) => error);
    expect(inspect(thrown, { depth: 20, showHidden: true })).not.toContain(key);
  });

  test("says how to name an account when nobody does", async () => {
    for (const environment of [{}, { AZURE_STORAGE_KEY: key }, { AZURE_STORAGE_SAS_TOKEN: "sig=x" }]) {
      await expect(find("", environment)).rejects.toMatchObject({
        code: "usage",
        hint: expect.stringContaining("?account=NAME") as string,
      });
    }
  });
});

function find(query: string, environment: Readonly<Record<string, string>>): Promise<AzureAccess> {
  return findAzureAccess(parseAzureUrl(`azure://backups${query}`), environment);
}

function accountOf({ credential }: AzureAccess): string | undefined {
  return credential instanceof StorageSharedKeyCredential ? credential.accountName : undefined;
}
