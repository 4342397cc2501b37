import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { randomBytes, randomUUID } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { BlobServiceClient, StorageSharedKeyCredential } from "@azure/storage-blob";
import type { ContainerClient, StoragePipelineOptions } from "@azure/storage-blob";
import { selfSigned } from "./certificate.ts";
import { registerCleanup } from "./cleanup.ts";
import { killTree, untilGone } from "./processes.ts";
import { plainEnvironment, projectDirectory } from "./project.ts";
import { temporaryDirectory } from "./temp.ts";

/** Microsoft's own Azure Storage emulator on loopback, in memory, with one account. */
export interface Azurite extends AsyncDisposable {
  readonly account: string;
  readonly key: string;
  /** the account's blob service */
  readonly endpoint: string;
  /** credentials, as Azure's tools read them */
  readonly env: Readonly<Record<string, string>>;
  /** the certificate that the server shows, as a file; with `tls` only */
  readonly caFile: string | undefined;
  /** A new empty container, by the SDK itself. */
  readonly createContainer: () => Promise<ContainerClient>;
}

export interface AzuriteOptions {
  /** https with a certificate of its own, and then tokens too: it takes any that says it is for Azure Storage and not expired */
  readonly tls?: boolean;
}

/** Starts the server; half a second. */
export async function startAzurite(options: AzuriteOptions = {}): Promise<Azurite> {
  const account = "pgarktest";
  const key = randomBytes(64).toString("base64");
  const directory = await temporaryDirectory("azurite");
  const args = ["--blobHost", "127.0.0.1", "--blobPort", "0", "--inMemoryPersistence", "--extentMemoryLimit", "2048"];
  args.push("--silent", "--disableTelemetry", "--skipApiVersionCheck");
  let caFile: string | undefined;
  let certificate: string | undefined;
  if (options.tls === true) {
    const made = selfSigned();
    certificate = made.cert;
    caFile = join(directory.path, "certificate.pem");
    await writeFile(caFile, made.cert);
    await writeFile(join(directory.path, "key.pem"), made.key);
    args.push("--cert", caFile, "--key", join(directory.path, "key.pem"), "--oauth", "basic");
  }
  const program = join(projectDirectory, "node_modules/azurite/dist/src/blob/main.js");
  const child = spawn(process.execPath, [program, ...args], {
    cwd: directory.path,
    env: plainEnvironment({ AZURITE_ACCOUNTS: `${account}:${key}` }),
    stdio: ["ignore", "pipe", "pipe"],
  });
  const kill = (): readonly number[] => (child.pid === undefined ? [] : killTree(child.pid));
  const dispose = registerCleanup({ dispose: () => untilGone(kill()), disposeNow: kill });
  const endpoint = `${await listeningAddress(child)}/${account}`;
  return {
    account,
    key,
    endpoint,
    env: { AZURE_STORAGE_ACCOUNT: account, AZURE_STORAGE_KEY: key },
    caFile,
    createContainer: async () => {
      const trusting: StoragePipelineOptions & { tlsOptions?: { ca: string } } =
        certificate === undefined ? {} : { tlsOptions: { ca: certificate } };
      const service = new BlobServiceClient(endpoint, new StorageSharedKeyCredential(account, key), trusting);
      const container = service.getContainerClient(`test-${randomUUID()}`);
      await container.create();
      return container;
    },
    [Symbol.asyncDispose]: async () => {
      await dispose();
      await directory[Symbol.asyncDispose]();
    },
  };
}

/** It chooses a free port and prints where it listens, and nothing else of interest. */
async function listeningAddress(child: ChildProcess): Promise<string> {
  if (child.stdout === null || child.stderr === null) throw new Error("azurite has no output");
  let output = "";
  child.stderr.on("data", (chunk: Buffer) => {
    output += chunk.toString();
  });
  for await (const line of createInterface(child.stdout)) {
    output += `${line}\n`;
    const address = /successfully listens on (https?:\/\/[\w.]+:\d+)/.exec(line)?.[1];
    if (address === undefined) continue;
    child.stdout.resume(); // so that it never waits for somebody to read
    return address;
  }
  throw new Error(`azurite did not start: ${output}`);
}
