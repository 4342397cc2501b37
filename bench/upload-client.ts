/**
 * `node upload-client.ts URL BYTES`: uploads through pgark's own S3 driver, as it is in dist/, in parts as a worker hands them
 * over (shared memory), four in flight. Prints the seconds of processor time that it took, once everything is loaded and warm.
 */
import { randomFillSync } from "node:crypto";
import { createRequire } from "node:module";
import { join } from "node:path";
import type { openS3Store } from "../src/storage/drivers/s3/s3-store.ts";
import { projectDirectory } from "../test/helpers/project.ts";

const inFlight = 4;
const warmUpParts = 32;

const driver = createRequire(import.meta.url)(join(projectDirectory, "dist/driver-s3.cjs")) as {
  readonly openS3Store: typeof openS3Store;
};
const [url = "", bytes = "0"] = process.argv.slice(2);
const store = driver.openS3Store(url, process.env);
const { partSize } = store.capabilities;
const slots = Array.from({ length: inFlight }, () =>
  randomFillSync(Buffer.from(new SharedArrayBuffer(partSize), 0, partSize)),
);
await upload("warm-up", warmUpParts);
const before = process.cpuUsage();
await upload("upload", Number(bytes) / partSize);
const { user, system } = process.cpuUsage(before);
console.log((user + system) / 1e6);
await store.close();

async function upload(name: string, count: number): Promise<void> {
  const object = await store.beginUpload(`${name}-${process.pid}`, { ifAbsent: true });
  let next = 0;
  const send = async (slot: Buffer): Promise<void> => {
    while (next < count) await object.part(next++, slot);
  };
  await Promise.all(slots.map(send));
  await object.complete();
}
