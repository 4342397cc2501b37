import type { BlobBatchClient, ContainerClient } from "@azure/storage-blob";
import { isPgarkError, throwIfAborted } from "../../../errors.ts";
import type { PgarkError } from "../../../errors.ts";
import { deleteSingly } from "../../delete-singly.ts";
import { throwUndeleted } from "../../undeleted.ts";
import { answerError } from "./azure-errors.ts";
import { abortable } from "./azure-requests.ts";
import type { AzureRequests } from "./azure-requests.ts";

/** The most that the service takes in one batch. */
const batchSize = 256;

export interface AzureDeleterOptions {
  readonly container: ContainerClient;
  readonly requests: AzureRequests;
  /** before every key */
  readonly prefix: string;
}

/** Deletes objects by the batch; one by one once the service has refused a batch as such. */
export class AzureDeleter {
  readonly #about: AzureDeleterOptions;
  readonly #batches: BlobBatchClient;
  #batchesAllowed = true;

  constructor(about: AzureDeleterOptions) {
    this.#about = about;
    this.#batches = about.container.getBlobBatchClient();
  }

  async delete(keys: readonly string[], signal: AbortSignal | undefined): Promise<void> {
    const refusals = new Map<string, PgarkError>();
    for (let index = 0; index < keys.length; index += batchSize) {
      throwIfAborted(signal, "delete object");
      const left = new Set(keys.slice(index, index + batchSize));
      if (left.size > 1 && this.#batchesAllowed) await this.#deleteBatch(left, signal);
      await deleteSingly([...left], { refusals, deleteOne: (key, stop) => this.#deleteOne(key, stop), signal });
    }
    throwUndeleted(refusals);
  }

  /** Takes out of `left` what is gone. What is left then, the service would not take in a batch. */
  async #deleteBatch(left: Set<string>, signal: AbortSignal | undefined): Promise<void> {
    const [key = ""] = left;
    let refused = false;
    try {
      await this.#about.requests.run({ operation: "delete object", key, signal }, async () => {
        refused = true;
        const clients = [...left].map((each) => this.#about.container.getBlobClient(this.#about.prefix + each));
        const keyOf = new Map(clients.map(({ url }, index) => [url, [...left][index] ?? ""]));
        const answer = await this.#batches.deleteBlobs(clients, abortable(signal));
        refused = false;
        let failure: PgarkError | undefined;
        for (const { _request: request, status, errorCode, headers } of answer.subResponses) {
          const each = keyOf.get(request.url);
          if (each === undefined) continue;
          if (status < 300 || errorCode === "BlobNotFound") {
            left.delete(each);
          } else {
            const requestId = headers.get("x-ms-request-id");
            failure ??= answerError("delete object", each, { status, code: errorCode, requestId });
          }
        }
        if (failure !== undefined) throw failure;
      });
    } catch (error) {
      if (!refused || !isFinal(error)) throw error;
      this.#batchesAllowed = false;
    }
  }

  async #deleteOne(key: string, signal: AbortSignal): Promise<void> {
    const { container, requests, prefix } = this.#about;
    await requests.run({ operation: "delete object", key, signal }, () =>
      container.getBlobClient(prefix + key).delete(abortable(signal)),
    );
  }
}

/** Whether the service answered, and would answer the same again; single deletions then tell what is really wrong. */
function isFinal(error: unknown): boolean {
  return isPgarkError(error, "denied", "refused", "usage") || (isPgarkError(error) && error.facts?.["status"] === 404);
}
