import { expect, test } from "vitest";
import { parseS3Url } from "../../src/storage/drivers/s3/s3-settings.ts";
import { openS3Store } from "../../src/storage/drivers/s3/s3-store.ts";
import { useCredentials } from "./s3-behind-proxy.ts";

test.each([
  ["s3://bucket?storage_class=X", 'unknown setting "storage_class"', "storage-class"],
  ["s3://bucket?endpoint=127.0.0.1:9000", '"endpoint" is not the URL', "https://host"],
  ["s3://bucket?endpoint=https://key:hunter2@host", '"endpoint" is not the URL', "without user"],
  ["s3://bucket?kms-key-id=k", '"kms-key-id" goes with', "encryption=aws:kms"],
  ["s3://bucket?kms-key-id=k&encryption=AES256", '"kms-key-id" goes with', "encryption=aws:kms"],
  ["s3://bucket?customer-key-file=k&encryption=AES256", "exclude each other", "leave one out"],
  ["s3://bucket?lock-mode=COMPLIANCE", "go together", "lock-days=30"],
  ["s3://bucket?lock-days=3", "go together", "lock-days=30"],
  ["s3://bucket?lock-mode=COMPLIANCE&lock-days=0", "go together", "lock-days=30"],
  ["s3://bucket?lock-mode=legal&lock-days=3", 'cannot be "legal"', "GOVERNANCE"],
  ["s3://bucket?encryption=aes", 'cannot be "aes"', "AES256"],
])("%s is refused with a hint and no secret", (text, problem, hint) => {
  let error: unknown;
  try {
    parseS3Url(text);
  } catch (thrown) {
    error = thrown;
  }
  expect(error).toMatchObject({
    code: "usage",
    message: expect.stringContaining(problem) as string,
    hint: expect.stringContaining(hint) as string,
  });
  expect(JSON.stringify({ ...(error as object), message: (error as Error).message })).not.toContain("hunter2");
});

test("the bucket stands in the host's name only where that can be expected, or where it is said", async () => {
  const hostOf = async (query: string): Promise<string> => {
    const store = openS3Store(`s3://bucket?region=x-1&${query}`, {}, { attempts: 1 });
    const error: unknown = await store.get("object").catch((failure: unknown) => failure);
    return (
      /ENOTFOUND (\S+)|EAI_AGAIN (\S+)/
        .exec((error as Error).message)
        ?.slice(1)
        .join("") ?? String(error)
    );
  };
  useCredentials({ AWS_ACCESS_KEY_ID: "key", AWS_SECRET_ACCESS_KEY: "secret" });
  expect(await hostOf("endpoint=https://s3.invalid")).toBe("s3.invalid");
  expect(await hostOf("endpoint=https://s3.invalid&path-style=no")).toBe("bucket.s3.invalid");
  expect(await hostOf("endpoint=https://s3.invalid&path-style")).toBe("s3.invalid");
});
