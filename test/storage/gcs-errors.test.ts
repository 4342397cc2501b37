import { expect, test } from "vitest";
import { parseGcsUrl } from "../../src/storage/drivers/gcs/gcs-settings.ts";
import type { Fault } from "../helpers/gcs-server/faults.ts";
import { GcsServer } from "../helpers/gcs-server/gcs-server.ts";
import { openGcs } from "../helpers/gcs-server/open-gcs.ts";
import { codeOf, keys, pattern } from "./store-probes.ts";

const ifAbsent = { ifAbsent: true };

const meanings: readonly (readonly [string, Fault, string, string | undefined])[] = [
  [
    "a missing permission, which it names",
    {
      status: 403,
      reason: "forbidden",
      message:
        "pgark@p.iam.gserviceaccount.com does not have storage.objects.create access to the Google Cloud Storage object. " +
        "Permission 'storage.objects.create' denied on resource (or it may not exist).",
    },
    "denied",
    "storage.objects.create",
  ],
  ["a permission it does not know", { status: 403, reason: "forbidden" }, "denied", "Storage Object Admin"],
  [
    "a key of Cloud KMS that may not be used",
    { status: 403, reason: "forbidden", message: "Permission denied on Cloud KMS key." },
    "denied",
    "CryptoKey Encrypter/Decrypter",
  ],
  ["the lack of credentials", { status: 401, reason: "required" }, "denied", "GOOGLE_APPLICATION_CREDENTIALS"],
  ["credentials that are refused", { status: 401, reason: "authError" }, "denied", "renew the credentials"],
  ["a project without billing", { status: 403, reason: "accountDisabled" }, "denied", "billing"],
  [
    "a bucket whose requester pays",
    { status: 400, reason: "required", message: "Bucket is a requester pays bucket but no user project provided." },
    "usage",
    "user-project",
  ],
  ["a quota that is used up", { status: 403, reason: "quotaExceeded" }, "refused", "quota"],
  ["a request nobody understands", { status: 400, reason: "invalid", message: "No." }, "refused", undefined],
  [
    "a policy that has nothing to do with the name",
    {
      status: 412,
      reason: "conditionNotMet",
      message: "violates constraint 'constraints/gcp.restrictNonCmekServices'",
    },
    "refused",
    undefined,
  ],
];

test.each(meanings)("tells %s, at once", async (_what, fault, code, hint) => {
  await using server = await GcsServer.start();
  const { store, pauses } = openGcs(server);
  server.faults.add({ method: "POST", ...fault });
  const error: unknown = await store.put("object", pattern(1), ifAbsent).catch((problem: unknown) => problem);
  expect(error).toMatchObject({ code, object: "object" });
  expect((error as { hint?: string }).hint ?? "").toContain(hint ?? "");
  expect(pauses).toEqual([]);
});

test("says that the bucket is missing, whatever is asked of it, and never not-found", async () => {
  await using server = await GcsServer.start();
  const { store } = openGcs({ endpoint: server.endpoint, place: "nowhere/prefix" });
  const upload = await store.beginUpload("large", ifAbsent);
  const works = [
    store.put("object", pattern(1), ifAbsent),
    upload.part(0, pattern(store.capabilities.partSize)),
    store.get("object"),
    store.get("object", { range: { offset: 0, length: 1 } }),
    store.head("object"),
    keys(store, ""),
    store.listFolders(""),
    store.delete(["object"]),
  ];
  expect(await Promise.all(works.map(codeOf))).toEqual(works.map(() => "usage"));
  await expect(store.head("object")).rejects.toMatchObject({ hint: expect.stringContaining("create the bucket") });
});

test("takes a 404 that does not name the object for not-found only once the bucket has answered", async () => {
  await using server = await GcsServer.start();
  const { store } = openGcs(server);
  server.faults.add({ path: /\/o\/object/, status: 404, message: "Not Found" });
  expect(await codeOf(store.get("object"))).toBe("not-found");
  server.faults.add({ status: 404, message: "Not Found" }); // as from a wrong endpoint
  expect(await codeOf(store.get("object"))).toBe("usage");
  server.faults.clear();
  server.faults.add({ path: /\/o\/object/, status: 404, message: "Not Found" }, { status: 503 });
  expect(await codeOf(store.get("object"))).toBe("unavailable");
});

test.each([
  ["a page in HTML", "<html>Welcome</html>"],
  ["an object in JSON", '{"welcome":true}'],
  ["nothing", ""],
])("does not take %s from some other program for an answer", async (_what, body) => {
  await using server = await GcsServer.start();
  const { store } = openGcs(server);
  server.faults.add({ status: 200, body });
  const upload = await store.beginUpload("large", ifAbsent);
  const works = [
    store.put("object", pattern(1), ifAbsent),
    upload.part(0, pattern(store.capabilities.partSize)),
    store.head("object"),
    keys(store, ""),
    store.listFolders(""),
  ];
  expect(await Promise.all(works.map(codeOf))).toEqual(works.map(() => "unavailable"));
});

test.each([
  ["gs://bucket?endpoint=127.0.0.1:4443", "is not a URL"],
  ["gs://bucket?requester-pays", "a project that pays"],
  ["gs://bucket?lock-mode=Locked", "go together"],
  ["gs://bucket?lock-days=3", "go together"],
  ["gs://bucket?lock-mode=locked&lock-days=3", 'cannot be "locked"'],
  ["gs://bucket?kms-key-name=k&encryption-key-file=f", "exclude each other"],
  ["gs://bucket?region=eu", 'unknown setting "region"'],
])("refuses the URL %s", (url, problem) => {
  expect(() => parseGcsUrl(url)).toThrow(
    expect.objectContaining({ code: "usage", message: expect.stringContaining(problem) }),
  );
});

test("lets the named project pay when the requester does", () => {
  expect(parseGcsUrl("gs://bucket?requester-pays&project=p").userProject).toBe("p");
  expect(parseGcsUrl("gs://bucket?requester-pays=no&project=p").userProject).toBeUndefined();
});
