import { execFile, spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { randomUUID } from "node:crypto";
import { openSync } from "node:fs";
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import { CreateBucketCommand, S3Client } from "@aws-sdk/client-s3";
import { registerCleanup } from "./cleanup.ts";
import { freePorts } from "./ports.ts";
import { killTree, until, untilGone } from "./processes.ts";
import { plainEnvironment } from "./project.ts";
import { temporaryDirectory } from "./temp.ts";

const run = promisify(execFile);

/** Ceph's object gateway on loopback: one monitor, one OSD in memory, one radosgw. Speaks S3 and keeps its conditions. */
export interface S3Server extends AsyncDisposable {
  readonly endpoint: string;
  /** credentials, as the SDK's own chain reads them */
  readonly env: Readonly<Record<string, string>>;
  readonly accessKey: string;
  readonly secretKey: string;
  createBucket(name?: string): Promise<string>;
}

const accessKey = "testaccess";
const secretKey = "testsecret123";

/** Starts the server; about a second. */
export async function startS3Server(): Promise<S3Server> {
  const directory = await temporaryDirectory("s3");
  const [gatewayPort = 0, monitorPort = 0] = await freePorts(2);
  const ceph = new Ceph(directory.path, gatewayPort, monitorPort);
  const dispose = registerCleanup({ dispose: () => ceph.stop(), disposeNow: () => ceph.killNow() });
  await ceph.start();
  const endpoint = `http://127.0.0.1:${gatewayPort}`;
  const client = new S3Client({
    endpoint,
    region: "us-east-1",
    forcePathStyle: true,
    credentials: { accessKeyId: accessKey, secretAccessKey: secretKey },
  });
  return {
    endpoint,
    accessKey,
    secretKey,
    env: { AWS_ACCESS_KEY_ID: accessKey, AWS_SECRET_ACCESS_KEY: secretKey },
    createBucket: async (name = `pgark-${randomUUID()}`) => {
      await client.send(new CreateBucketCommand({ Bucket: name }));
      return name;
    },
    [Symbol.asyncDispose]: async () => {
      client.destroy();
      await dispose();
      await directory[Symbol.asyncDispose]();
    },
  };
}

class Ceph {
  readonly #directory: string;
  readonly #gatewayPort: number;
  readonly #monitorPort: number;
  readonly #processes: ChildProcess[] = [];
  readonly #env: NodeJS.ProcessEnv;

  constructor(directory: string, gatewayPort: number, monitorPort: number) {
    this.#directory = directory;
    this.#gatewayPort = gatewayPort;
    this.#monitorPort = monitorPort;
    const conf = join(directory, "ceph.conf");
    this.#env = plainEnvironment({ CEPH_CONF: conf, CEPH_ARGS: `--conf ${conf}` });
  }

  async start(): Promise<void> {
    const path = this.#directory;
    for (const name of ["mon", "osd", "log", "run", "rgw", "crash"]) await mkdir(join(path, name), { recursive: true });
    const fsid = randomUUID();
    await writeFile(join(path, "ceph.conf"), await configuration(path, fsid, this.#gatewayPort, this.#monitorPort));
    const monitors = join(path, "monmap");
    await this.#run(
      "monmaptool",
      "--create",
      "--fsid",
      fsid,
      "--addv",
      "0",
      `v2:127.0.0.1:${this.#monitorPort}/0`,
      monitors,
    );
    await this.#run("ceph-mon", "--id", "0", "--mkfs", "--monmap", monitors, "--keyring", "/dev/null");
    this.#spawn("ceph-mon", "--id", "0", "-f");
    await until(() => this.#answers("-s"), "the Ceph monitor to answer");
    const osd = randomUUID();
    await this.#run("ceph", "osd", "new", osd, "0");
    await this.#run("ceph", "osd", "crush", "add", "osd.0", "1", "root=default", "host=localhost");
    await this.#run("ceph-osd", "--id", "0", "--osd-uuid", osd, "--mkfs");
    this.#spawn("ceph-osd", "--id", "0", "-f");
    await until(async () => (await this.#output("osd", "stat")).includes("1 up"), "the Ceph OSD to be up");
    const user = ["user", "create", "--uid", "test", "--display-name", "test"];
    await this.#run("radosgw-admin", ...user, "--access-key", accessKey, "--secret-key", secretKey);
    this.#spawn("radosgw", "-n", "client.rgw.0", "-f");
    await until(() => listens(this.#gatewayPort), "the object gateway to listen");
  }

  async stop(): Promise<void> {
    const pids = this.killNow();
    await untilGone(pids);
  }

  killNow(): readonly number[] {
    return this.#processes.flatMap(({ pid }) => (pid === undefined ? [] : killTree(pid)));
  }

  async #run(program: string, ...args: readonly string[]): Promise<void> {
    await run(program, [...args], { env: this.#env });
  }

  async #output(...args: readonly string[]): Promise<string> {
    return run("ceph", [...args], { env: this.#env, timeout: 10_000 }).then(
      ({ stdout }) => stdout,
      () => "",
    );
  }

  async #answers(...args: readonly string[]): Promise<boolean> {
    return (await this.#output(...args)) !== "";
  }

  #spawn(program: string, ...args: readonly string[]): void {
    const log = openSync(join(this.#directory, "log", `${program}.out`), "a");
    this.#processes.push(spawn(program, [...args], { env: this.#env, stdio: ["ignore", log, log] }));
  }
}

async function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}

/** Where Debian keeps the OSD's classes depends on the architecture. */
async function classDirectory(): Promise<string> {
  for (const name of await readdir("/usr/lib")) {
    const candidate = join("/usr/lib", name, "rados-classes");
    const found = await readdir(candidate).catch(() => []);
    if (found.length > 0) return candidate;
  }
  throw new Error("Ceph's rados-classes were not found below /usr/lib");
}

/** As small and as quick as Ceph gets: no authentication within, everything in memory, short intervals. */
async function configuration(
  directory: string,
  fsid: string,
  gatewayPort: number,
  monitorPort: number,
): Promise<string> {
  const settings = {
    global: {
      fsid,
      run_dir: `${directory}/run`,
      pid_file: `${directory}/run/$type.$id.pid`,
      admin_socket: `${directory}/run/$cluster-$name.asok`,
      log_file: `${directory}/log/$name.log`,
      crash_dir: `${directory}/crash`,
      auth_cluster_required: "none",
      auth_service_required: "none",
      auth_client_required: "none",
      mon_host: `v2:127.0.0.1:${monitorPort}/0`,
      public_network: "127.0.0.0/8",
      cluster_network: "127.0.0.0/8",
      ms_bind_msgr1: "false",
      ms_bind_msgr2: "true",
      ms_mon_cluster_mode: "crc",
      ms_mon_service_mode: "crc",
      ms_mon_client_mode: "crc",
      ms_cluster_mode: "crc",
      ms_service_mode: "crc",
      ms_client_mode: "crc",
      osd_pool_default_size: "1",
      osd_pool_default_min_size: "1",
      osd_pool_default_pg_num: "8",
      osd_pool_default_pgp_num: "8",
      osd_pool_default_pg_autoscale_mode: "off",
      osd_crush_chooseleaf_type: "0",
      mon_allow_pool_size_one: "true",
      mon_max_pg_per_osd: "4000",
      osd_max_pg_per_osd_hard_ratio: "30",
      mon_data_avail_warn: "1",
      mon_data_avail_crit: "0",
      paxos_propose_interval: "0.02",
      paxos_min_wait: "0.01",
      mon_tick_interval: "1",
      mon_osd_full_ratio: ".97",
      mon_osd_backfillfull_ratio: ".96",
      mon_osd_nearfull_ratio: ".95",
    },
    mon: { mon_data: `${directory}/mon/$id` },
    "mon.0": { host: "localhost" },
    osd: {
      public_addr: "127.0.0.1",
      cluster_addr: "127.0.0.1",
      osd_data: `${directory}/osd`,
      osd_objectstore: "memstore",
      memstore_device_bytes: "4294967296",
      osd_class_dir: await classDirectory(),
      osd_class_load_list: "*",
      osd_class_default_list: "*",
      osd_op_queue: "wpq",
    },
    client: {
      rgw_data: `${directory}/rgw`,
      rgw_frontends: `beast endpoint=127.0.0.1:${gatewayPort}`,
      rgw_crypt_require_ssl: "false",
      rgw_lc_debug_interval: "-1",
      rgw_run_sync_thread: "false",
      rgw_thread_pool_size: "32",
      rgw_dmclock_auth_res: "0",
      // Keys of its own for SSE-KMS; the id of the one is "my-key".
      rgw_crypt_s3_kms_backend: "testing",
      rgw_crypt_s3_kms_encryption_keys: `my-key=${Buffer.alloc(32, "a").toString("base64")}`,
    },
  };
  const sections = Object.entries(settings).map(([name, values]) => {
    return `[${name}]\n${Object.entries(values)
      .map(([key, value]) => `${key} = ${value}\n`)
      .join("")}`;
  });
  return sections.join("");
}
