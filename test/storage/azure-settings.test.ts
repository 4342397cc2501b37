import { describe, expect, test } from "vitest";
import { parseAzureUrl } from "../../src/storage/drivers/azure/azure-settings.ts";

describe("parseAzureUrl", () => {
  test("reads a container alone", () => {
    const settings = parseAzureUrl("azure://backups");
    expect(settings.url).toMatchObject({ bucket: "backups", prefix: "" });
    const { url: _, ...others } = settings;
    expect(new Set(Object.values(others))).toEqual(new Set([undefined]));
  });

  test("reads a prefix and every setting", () => {
    const query = [
      "account=ours",
      "endpoint=https://ours.blob.core.chinacloudapi.cn/",
      "ca-file=/etc/ca.pem",
      "tier=Cold",
      "encryption-scope=scope",
      "tags=team%3Ddb%26a%20b%3Dc",
      "lock-mode=Unlocked",
      "lock-days=7",
    ];
    expect(parseAzureUrl(`azure://backups/a/b?${query.join("&")}`)).toMatchObject({
      url: { bucket: "backups", prefix: "a/b/" },
      account: "ours",
      endpoint: "https://ours.blob.core.chinacloudapi.cn",
      caFile: "/etc/ca.pem",
      tier: "Cold",
      encryptionScope: "scope",
      tags: { team: "db", "a b": "c" },
      lock: { mode: "Unlocked", days: 7 },
    });
  });

  test.each([
    ["a setting that there is none of", "region=x"],
    ["a tier that cannot be read back at once", "tier=Archive"],
    ["a lock without days", "lock-mode=Locked"],
    ["a lock of no days", "lock-mode=Locked&lock-days=0"],
    ["days without a mode", "lock-days=3"],
    ["an endpoint that is no URL", "endpoint=ours.blob.core.windows.net"],
    ["an endpoint of another scheme", "endpoint=ftp://ours"],
    ["an endpoint with a user in it", "endpoint=https://user:password@ours"],
  ])("refuses %s", (_what, query) => {
    expect(() => parseAzureUrl(`azure://backups?${query}`)).toThrow(
      expect.objectContaining({ code: "usage", hint: expect.any(String) as string }) as Error,
    );
  });

  test.each([
    "sv=2026-01-01&sig=c2VjcmV0",
    "sig=c2VjcmV0",
    "endpoint=https://ours.blob.core.windows.net/?sv=1&sig=c2VjcmV0",
    "endpoint=https%3A%2F%2Fours%3Fsig%3Dc2VjcmV0",
    "account-key=c2VjcmV0",
    "key=c2VjcmV0",
    "sas=c2VjcmV0",
  ])("refuses a secret and does not repeat it: %s", (query) => {
    let thrown: unknown;
    try {
      parseAzureUrl(`azure://backups?${query}`);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toMatchObject({ code: "usage", object: "azure://backups" });
    expect(`${String(thrown)} ${JSON.stringify(thrown)}`).not.toContain("c2VjcmV0");
  });
});
