import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { selfSigned } from "../test/helpers/certificate.ts";
import { registerCleanup } from "../test/helpers/cleanup.ts";
import { killTree, untilGone } from "../test/helpers/processes.ts";
import { plainEnvironment } from "../test/helpers/project.ts";

export interface S3Sink extends AsyncDisposable {
  readonly endpoint: string;
  readonly caFile: string;
  /** what a client of it needs in its environment */
  readonly env: Readonly<Record<string, string>>;
  /** The URL of a repository in it. */
  url(bucket: string): string;
}

/** See s3-sink-main.ts. */
export interface S3SinkOptions {
  readonly anyClient?: boolean;
  readonly latencyMs?: number;
}

/** Starts s3-sink-main.ts as a process of its own, whose work counts as nobody's, with a certificate for 127.0.0.1. */
export async function startS3Sink(directory: string, options: S3SinkOptions = {}): Promise<S3Sink> {
  const { cert, key } = selfSigned();
  const [caFile, keyFile] = [join(directory, "sink.pem"), join(directory, "sink-key.pem")];
  await writeFile(caFile, cert);
  await writeFile(keyFile, key, { mode: 0o600 });
  const program = join(import.meta.dirname, "s3-sink-main.ts");
  const flags = [`--latency-ms=${options.latencyMs ?? 0}`, ...(options.anyClient === true ? ["--any-client"] : [])];
  const child = spawn(process.execPath, [program, caFile, keyFile, ...flags], {
    cwd: directory,
    env: plainEnvironment(),
    stdio: ["ignore", "pipe", "inherit"],
  });
  const kill = (): readonly number[] => (child.pid === undefined ? [] : killTree(child.pid));
  const dispose = registerCleanup({ dispose: () => untilGone(kill()), disposeNow: kill });
  const lines = createInterface(child.stdout);
  const [line] = (await Promise.race([once(lines, "line"), once(lines, "close")])) as [string?];
  if (line === undefined) throw new Error("the S3 sink did not start");
  const endpoint = `https://127.0.0.1:${line}`;
  return {
    endpoint,
    caFile,
    env: { AWS_ACCESS_KEY_ID: "bench", AWS_SECRET_ACCESS_KEY: "bench-secret", NO_PROXY: "127.0.0.1" },
    url: (bucket) => `s3://${bucket}/pgark?endpoint=${endpoint}&ca-file=${caFile}`,
    [Symbol.asyncDispose]: dispose,
  };
}
