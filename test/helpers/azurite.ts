import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { createPrivateKey, generateKeyPairSync, randomBytes, randomUUID, sign } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { BlobServiceClient, StorageSharedKeyCredential } from "@azure/storage-blob";
import type { ContainerClient, StoragePipelineOptions } from "@azure/storage-blob";
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
    const made = makeCertificate();
    certificate = made.certificate;
    caFile = join(directory.path, "certificate.pem");
    await writeFile(caFile, made.certificate);
    await writeFile(join(directory.path, "key.pem"), made.privateKey);
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

/** A certificate for 127.0.0.1 that is its own authority, good for a day; PEM. */
export function makeCertificate(): { readonly certificate: string; readonly privateKey: string } {
  const { publicKey, privateKey } = generateKeyPairSync("ec", {
    namedCurve: "P-256",
    publicKeyEncoding: { type: "spki", format: "der" },
    privateKeyEncoding: { type: "pkcs8", format: "pem" },
  });
  const algorithm = der(0x30, oid("2a8648ce3d040302")); // ECDSA with SHA-256
  const name = der(0x30, der(0x31, der(0x30, oid("550403"), der(0x0c, Buffer.from("pgark test")))));
  const basicConstraints = der(0x30, oid("551d13"), der(0x04, der(0x30, der(0x01, Buffer.of(0xff)))));
  const address = der(0x30, oid("551d11"), der(0x04, der(0x30, der(0x87, Buffer.of(127, 0, 0, 1)))));
  const content = der(
    0x30,
    der(0xa0, der(0x02, Buffer.of(2))), // version 3
    der(0x02, Buffer.concat([Buffer.of(1), randomBytes(8)])), // serial number
    algorithm,
    name,
    der(0x30, time(-3600), time(86_400)),
    name,
    publicKey,
    der(0xa3, der(0x30, basicConstraints, address)),
  );
  const signature = sign("sha256", content, createPrivateKey(privateKey));
  const whole = der(0x30, content, algorithm, der(0x03, Buffer.of(0), signature));
  const lines = whole.toString("base64").match(/.{1,64}/g) ?? [];
  return {
    certificate: ["-----BEGIN CERTIFICATE-----", ...lines, "-----END CERTIFICATE-----", ""].join("\n"),
    privateKey,
  };
}

/** One element of ASN.1's DER: tag, length, content. */
function der(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const { length } = Buffer.concat(parts);
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.of(tag, ...size), ...parts]);
}

function oid(hex: string): Buffer {
  return der(0x06, Buffer.from(hex, "hex"));
}

function time(secondsFromNow: number): Buffer {
  const text = new Date(Date.now() + secondsFromNow * 1000).toISOString().replace(/[-:T]|\.\d+/g, "");
  return der(0x18, Buffer.from(text));
}
