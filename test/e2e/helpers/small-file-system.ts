import { spawn } from "node:child_process";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { statfsSync } from "node:fs";
import { join } from "node:path";
import { registerCleanup } from "../../helpers/cleanup.ts";
import { signalIfAlive, until } from "../../helpers/processes.ts";

/**
 * (Requirement "mounts".) A file system of its own, as large as a test wants it. An ordinary user may mount one in a namespace of theirs; it is reached
 * from outside through the /proc entry of the process that keeps the namespace alive.
 */
export interface SmallFileSystem extends AsyncDisposable {
  /** its root, for any process of this user */
  readonly path: string;
  /** Leaves so many bytes free, or, without a number, all. */
  leaveFree(bytes?: number): Promise<void>;
  /** Mounted read-only, or read-write again. */
  setReadOnly(readOnly: boolean): Promise<void>;
}

const mountPoint = "mnt";

export async function mountSmallFileSystem(directory: string, bytes: number): Promise<SmallFileSystem> {
  const place = join(directory, mountPoint);
  await mkdir(place, { recursive: true });
  const script = `mount -t tmpfs -o size=${bytes},mode=0755 tmpfs "$1" && echo ready && while read -r options; do
    mount -o "remount,bind,$options" "$1" && echo ready; done`;
  const keeper = spawn("unshare", ["-rm", "sh", "-c", script, "sh", place], { stdio: ["pipe", "pipe", "inherit"] });
  let said = 0;
  keeper.stdout.on("data", (chunk: Buffer) => (said += chunk.toString().split("ready").length - 1));
  const { pid } = keeper;
  if (pid === undefined) throw new Error("unshare did not start");
  const dispose = registerCleanup({
    dispose: async () => {
      const gone = new Promise((resolve) => keeper.once("exit", resolve));
      if (keeper.exitCode !== null) return;
      keeper.stdin.end();
      await gone;
    },
    disposeNow: () => signalIfAlive(pid, "SIGKILL"),
  });
  await until(() => said === 1, "the file system to be mounted");
  const path = `/proc/${pid}/root${place}`;
  const ballast = join(path, "ballast");
  return {
    path,
    async leaveFree(left) {
      await rm(ballast, { force: true });
      if (left === undefined) return;
      const { bavail, bsize } = statfsSync(path);
      await writeFile(ballast, Buffer.alloc(Math.max(0, bavail * bsize - left)));
    },
    async setReadOnly(readOnly) {
      const before = said;
      keeper.stdin.write(readOnly ? "ro\n" : "rw\n");
      await until(() => said === before + 1, "the file system to be mounted anew");
    },
    [Symbol.asyncDispose]: dispose,
  };
}
