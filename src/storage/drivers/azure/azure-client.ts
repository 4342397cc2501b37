import http from "node:http";
import https from "node:https";
import type { Duplex } from "node:stream";
import { BlobServiceClient } from "@azure/storage-blob";
import type { ContainerClient, StoragePipelineOptions } from "@azure/storage-blob";
import { authorityOptions, proxyOptions } from "../../network-settings.ts";
import type { Environment } from "../../network-settings.ts";
import type { AzureAccess } from "./azure-credentials.ts";
import type { AzureSettings } from "./azure-settings.ts";
import type { AzureTuning } from "./azure-tuning.ts";

/** A container and the connections to it. */
export interface AzureConnection {
  readonly container: ContainerClient;
  close(): void;
}

/**
 * The client, with connections that are kept and watched. The SDK's own retries are off: they know neither jitter nor
 * Retry-After, and its time limit is the server's alone; AzureRequests does both.
 */
export function connectToAzure(
  settings: AzureSettings,
  access: AzureAccess,
  environment: Environment,
  tuning: AzureTuning,
): AzureConnection {
  const agentOptions: https.AgentOptions = {
    keepAlive: true,
    maxSockets: tuning.maxSockets,
    timeout: tuning.silenceMs,
    ...proxyOptions(environment),
  };
  const agent = access.endpoint.startsWith("https:")
    ? new WatchfulHttpsAgent({ ...agentOptions, ...authorityOptions(settings.caFile) })
    : new WatchfulHttpAgent(agentOptions);
  // The storage client hands `agent` on to the pipeline that it builds, though its own type leaves it out.
  const options: StoragePipelineOptions & { readonly agent: http.Agent } = {
    agent,
    retryOptions: { maxTries: 1 },
    userAgentOptions: { userAgentPrefix: "pgark" },
  };
  const service = new BlobServiceClient(access.endpoint + access.sas, access.credential, options);
  return { container: service.getContainerClient(settings.url.bucket), close: () => agent.destroy() };
}

type Connected = (error: Error | null, socket: Duplex) => void;

class WatchfulHttpAgent extends http.Agent {
  override createConnection(options: http.ClientRequestArgs, callback?: Connected): Duplex | null | undefined {
    return watch(super.createConnection(options, watching(callback)));
  }
}

class WatchfulHttpsAgent extends https.Agent {
  override createConnection(options: https.RequestOptions, callback?: Connected): Duplex | null | undefined {
    return watch(super.createConnection(options, watching(callback)));
  }
}

function watching(callback: Connected | undefined): Connected | undefined {
  // A socket through a proxy's tunnel comes by the callback only.
  return callback === undefined ? undefined : (error, socket) => callback(error, watch(socket) ?? socket);
}

const watched = new WeakSet<Duplex>();

/** Node only tells that a socket has been silent for the agent's `timeout`; whoever waits on it would wait on. */
function watch<T extends Duplex | null | undefined>(socket: T): T {
  if (socket === null || socket === undefined || watched.has(socket)) return socket;
  watched.add(socket);
  socket.on("timeout", () => {
    socket.destroy(Object.assign(new Error("the connection was silent for too long"), { code: "ETIMEDOUT" }));
  });
  return socket;
}
