import { Header } from "tar";
import { describe, expect, test } from "vitest";
import { TarSplitter } from "../../src/archive/tar-splitter.ts";
import type { TarMember } from "../../src/archive/tar-splitter.ts";
import { rejectionOf } from "../postgres/errors.ts";

interface Found {
  readonly member: TarMember;
  content: string;
  ended: boolean;
}

interface HeaderFields {
  readonly path: string;
  readonly size: number;
  readonly type: "File" | "Directory" | "SymbolicLink";
  readonly mode?: number;
  readonly linkpath?: string;
}

function header(fields: HeaderFields): Buffer {
  const block = Buffer.alloc(512);
  new Header({ mode: 0o600, uid: 0, gid: 0, mtime: new Date(1_700_000_000_000), ...fields }).encode(block);
  return block;
}

function member(path: string, content: string): Buffer {
  const body = Buffer.alloc(Math.ceil(content.length / 512) * 512);
  body.write(content);
  return Buffer.concat([header({ path, size: content.length, type: "File" }), body]);
}

const archive = Buffer.concat([
  header({ path: "base/", size: 0, mode: 0o700, type: "Directory" }),
  member("base/1", "x".repeat(512)),
  member("empty", ""),
  member("odd", "y".repeat(1300)),
  header({ path: "pg_tblspc/1", linkpath: "/fast", size: 0, type: "SymbolicLink" }),
  Buffer.alloc(1024),
]);

/** Hands `bytes` over in pieces of `size`; the handler takes a turn of the event loop for each call. */
async function split(bytes: Buffer, size: number): Promise<readonly Found[]> {
  const found: Found[] = [];
  const splitter = new TarSplitter({
    begin: (begun) => void found.push({ member: begun, content: "", ended: false }),
    data: async (piece) => {
      await Promise.resolve();
      const last = found.at(-1);
      if (last !== undefined) last.content += Buffer.from(piece).toString();
    },
    end: () => {
      const last = found.at(-1);
      if (last !== undefined) last.ended = true;
    },
  });
  for (let offset = 0; offset < bytes.length; offset += size) {
    await splitter.write(bytes.subarray(offset, offset + size));
  }
  splitter.end();
  return found;
}

describe("a tar archive that comes in pieces", () => {
  test.each([1, 7, 511, 512, 513, 100_000])("of %d bytes is taken apart into the same members", async (size) => {
    const found = await split(archive, size);
    expect(found.map(({ member: { type, path } }) => [type, path])).toEqual([
      ["directory", "base"],
      ["file", "base/1"],
      ["file", "empty"],
      ["file", "odd"],
      ["symlink", "pg_tblspc/1"],
    ]);
    expect(found.map(({ content }) => content)).toEqual(["", "x".repeat(512), "", "y".repeat(1300), ""]);
    expect(found.every(({ ended }) => ended)).toBe(true);
    expect(found[0]?.member).toMatchObject({ mode: 0o700, modifiedMs: 1_700_000_000_000 });
    expect(found[4]?.member).toMatchObject({ linkTarget: "/fast" });
  });

  test("and ends too early is told from one that is whole", async () => {
    for (const length of [100, 512 + 512 + 100, 512 + 512 + 512 + 512 + 512 + 1300]) {
      expect(await rejectionOf(split(archive.subarray(0, length), 4096))).toMatchObject({ code: "corrupt" });
    }
    expect(await split(Buffer.alloc(0), 1)).toEqual([]);
  });

  test("with a flipped bit in a header is refused", async () => {
    const damaged = Buffer.from(archive);
    damaged[3] = (damaged[3] ?? 0) ^ 1;
    expect(await rejectionOf(split(damaged, 4096))).toMatchObject({ code: "corrupt" });
  });
});
