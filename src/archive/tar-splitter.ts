import { Header } from "tar";
import { PgarkError } from "../errors.ts";

const block = 512;

export interface TarMember {
  readonly type: "file" | "directory" | "symlink" | "other";
  /** as it stands in the archive, without a trailing slash */
  readonly path: string;
  readonly size: number;
  readonly mode: number;
  readonly modifiedMs: number;
  readonly linkTarget: string | undefined;
}

export interface TarHandler {
  begin(member: TarMember): void | Promise<void>;
  /** valid only until the call, or its promise, is done */
  data(bytes: Uint8Array): void | Promise<void>;
  end(member: TarMember): void | Promise<void>;
}

/** Takes apart a tar archive (ustar, as PostgreSQL's server writes it) that comes in pieces of any size. */
export class TarSplitter {
  readonly #handler: TarHandler;
  readonly #header = Buffer.alloc(block);
  #headerFill = 0;
  #member: TarMember | undefined;
  #content = 0;
  #padding = 0;

  constructor(handler: TarHandler) {
    this.#handler = handler;
  }

  async write(bytes: Uint8Array): Promise<void> {
    for (let offset = 0; offset < bytes.length;) {
      if (this.#content > 0) {
        const taken = Math.min(this.#content, bytes.length - offset);
        await this.#handler.data(bytes.subarray(offset, offset + taken));
        this.#content -= taken;
        offset += taken;
        if (this.#content === 0) await this.#endMember();
      } else if (this.#padding > 0) {
        const taken = Math.min(this.#padding, bytes.length - offset);
        this.#padding -= taken;
        offset += taken;
      } else {
        const taken = Math.min(block - this.#headerFill, bytes.length - offset);
        this.#header.set(bytes.subarray(offset, offset + taken), this.#headerFill);
        this.#headerFill += taken;
        offset += taken;
        if (this.#headerFill === block) await this.#beginMember();
      }
    }
  }

  /** Throws `corrupt` when the archive ends in the middle of a member. */
  end(): void {
    if (this.#content === 0 && this.#padding === 0 && this.#headerFill === 0) return;
    throw new PgarkError("corrupt", "the tar archive ends in the middle of a file", { operation: "read tar" });
  }

  async #beginMember(): Promise<void> {
    this.#headerFill = 0;
    if (this.#header.every((byte) => byte === 0)) return; // the end, or the second block of it
    const header = new Header(this.#header, 0);
    if (!header.cksumValid || header.path === undefined) {
      throw new PgarkError("corrupt", "a tar header is damaged", { operation: "read tar" });
    }
    const size = header.size ?? 0;
    this.#member = {
      type: typeOf(header.type),
      path: header.path.replace(/\/+$/, ""),
      size,
      mode: (header.mode ?? 0o600) & 0o777,
      modifiedMs: header.mtime?.getTime() ?? 0,
      linkTarget: header.linkpath === "" ? undefined : header.linkpath,
    };
    this.#content = this.#member.type === "file" ? size : 0;
    this.#padding = (block - (this.#content % block)) % block;
    await this.#handler.begin(this.#member);
    if (this.#content === 0) await this.#endMember();
  }

  async #endMember(): Promise<void> {
    const member = this.#member;
    this.#member = undefined;
    if (member !== undefined) await this.#handler.end(member);
  }
}

function typeOf(type: string): TarMember["type"] {
  switch (type) {
    case "File":
    case "OldFile":
    case "ContiguousFile":
      return "file";
    case "Directory":
      return "directory";
    case "SymbolicLink":
      return "symlink";
    default:
      return "other";
  }
}
