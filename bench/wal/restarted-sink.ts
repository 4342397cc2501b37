import { mkdir, rm } from "node:fs/promises";
import type { S3Sink } from "../s3-sink.ts";
import { startS3Sink } from "../s3-sink.ts";

/** An S3 server that is far away, and empty again after each start. */
export class RestartedSink {
  /** what clients need in their environment, whichever start it is */
  readonly env = { AWS_ACCESS_KEY_ID: "bench", AWS_SECRET_ACCESS_KEY: "bench-secret", NO_PROXY: "127.0.0.1" };
  readonly #directory: string;
  readonly #latencyMs: number;
  #sink: S3Sink | undefined;

  constructor(directory: string, latencyMs: number) {
    this.#directory = directory;
    this.#latencyMs = latencyMs;
  }

  async restart(): Promise<S3Sink> {
    await this.stop();
    await mkdir(this.#directory, { recursive: true });
    this.#sink = await startS3Sink(this.#directory, { anyClient: true, latencyMs: this.#latencyMs });
    return this.#sink;
  }

  /** Gives its memory back. */
  async stop(): Promise<void> {
    await this.#sink?.[Symbol.asyncDispose]();
    this.#sink = undefined;
    await rm(this.#directory, { recursive: true, force: true });
  }
}
