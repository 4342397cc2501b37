import { AggregateAuthenticationError, AuthenticationError, CredentialUnavailableError } from "@azure/identity";
import { describe, expect, test } from "vitest";
import { answerError, azureError } from "../../src/storage/drivers/azure/azure-errors.ts";

/** What a failure outside of the service itself is called. What the service answers is in azure-faults.test.ts. */
describe("azureError", () => {
  const refused = Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" });

  test.each([
    ["no credential is to be found", new CredentialUnavailableError("none"), "denied"],
    [
      "a credential's endpoint does not answer",
      new CredentialUnavailableError("none", { cause: refused }),
      "unavailable",
    ],
    ["Entra ID refuses", new AuthenticationError(401, { error: "invalid_client", errorDescription: "no" }), "denied"],
    ["Entra ID is busy", new AuthenticationError(503, { error: "busy", errorDescription: "later" }), "unavailable"],
    ["none of a chain is there", new AggregateAuthenticationError([new CredentialUnavailableError("none")]), "denied"],
    [
      "one of a chain is out of reach",
      new AggregateAuthenticationError([
        new CredentialUnavailableError("none"),
        new CredentialUnavailableError("none", { cause: refused }),
      ]),
      "unavailable",
    ],
    [
      "the certificate is not trusted",
      Object.assign(new Error("x"), { code: "DEPTH_ZERO_SELF_SIGNED_CERT" }),
      "denied",
    ],
    ["the connection is reset", Object.assign(new Error("x"), { code: "ECONNRESET" }), "unavailable"],
    // The SDK says so of a connection that breaks while a body is read, too.
    ["something was aborted, but not by us", Object.assign(new Error("x"), { name: "AbortError" }), "unavailable"],
    ["what was thrown is no error", "oops", "unavailable"],
  ])("when %s", (_what, error, code) => {
    expect(azureError("read object", "key", error, undefined)).toMatchObject({ code, object: "key" });
  });

  test("calls everything aborted once our signal has fired", () => {
    expect(azureError("read object", "key", refused, AbortSignal.abort()).code).toBe("aborted");
  });
});

describe("answerError", () => {
  test("calls not-found only what the service itself calls so", () => {
    const codes = ["BlobNotFound", "ContainerNotFound", "ResourceNotFound", "Whatever", undefined].map(
      (code) => answerError("read object", "key", { status: 404, code }).code,
    );
    expect(codes).toEqual(["not-found", "usage", "usage", "unavailable", "unavailable"]);
  });

  test("tells the service's code and message, without the lines for its own logs", () => {
    const message = "The server is busy.\nRequestId:1\nTime:2";
    const error = answerError("read object", "key", { status: 503, code: "ServerBusy", message, requestId: "1" });
    expect(error).toMatchObject({ message: "ServerBusy: The server is busy", facts: { status: 503, requestId: "1" } });
  });
});
