import { mkdir, readdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { FileStore } from "../../src/storage/drivers/file/file-store.ts";
import { temporaryDirectory } from "../helpers/temp.ts";

describe("a root that is not to be made", () => {
  const body = Buffer.from("WAL");

  test.each(["missing", "empty"])("and is %s is written to by nobody, and stays so", async (how) => {
    const parent = (await temporaryDirectory("store")).path;
    const root = join(parent, "disk");
    if (how === "empty") await mkdir(root);
    const store = new FileStore(root, { create: false });
    for (const write of [
      () => store.put("main/wal/1", body, { ifAbsent: true }),
      () => store.put("main/wal/1", body, { ifAbsent: false }),
      () => store.beginUpload("main/wal/1", { ifAbsent: true }),
    ]) {
      await expect(write()).rejects.toMatchObject({
        code: "unavailable",
        hint: expect.stringContaining("check the mount"),
      });
    }
    expect(await readdir(parent, { recursive: true })).toEqual(how === "empty" ? ["disk"] : []);
  });

  test("and vanishes while an object is on its way is not made anew", async () => {
    const parent = (await temporaryDirectory("store")).path;
    const root = join(parent, "disk");
    await new FileStore(root, { create: true }).put("main/cluster.json", body, { ifAbsent: true });
    const store = new FileStore(root, { create: false });
    const upload = await store.beginUpload("main/wal/1", { ifAbsent: true });
    await upload.part(0, body);
    await rename(root, `${root}.away`);
    await expect(upload.complete()).rejects.toMatchObject({ code: "unavailable" });
    expect(await readdir(parent)).toEqual(["disk.away"]);
    await rename(`${root}.away`, root);
    await store.put("main/wal/1", body, { ifAbsent: true });
    expect(Buffer.from(await store.get("main/wal/1"))).toEqual(body);
  });

  test("is written to when it is a copy without the folder of unfinished files", async () => {
    const root = (await temporaryDirectory("store")).path;
    await mkdir(join(root, "main"));
    await writeFile(join(root, "main/cluster.json"), "{}");
    const store = new FileStore(root, { create: false });
    await store.put("main/wal/1", body, { ifAbsent: true });
    expect(Buffer.from(await store.get("main/wal/1"))).toEqual(body);
  });
});
