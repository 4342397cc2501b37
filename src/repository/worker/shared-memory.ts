/**
 * Memory that threads share and that is used again. Left to the garbage collector, the bodies of many segments pile up before it
 * looks: they are large, and nothing else makes garbage here. Where it can be, it begins at a page, so that the file store
 * writes and reads it past the system's page cache (src/storage/drivers/file/direct-io.ts).
 */
export class SharedMemory {
  readonly #free: Uint8Array[] = [];
  readonly #arena = new Arena();

  /** At least `size` bytes; what they hold is anything. */
  take(size: number): Uint8Array {
    const index = this.#free.findIndex((piece) => piece.length >= size);
    const [piece] = index < 0 ? [] : this.#free.splice(index, 1);
    return piece ?? this.#arena.cut(size) ?? new Uint8Array(new SharedArrayBuffer(size));
  }

  /** Of what was taken; nobody must touch it any more. */
  giveBack(piece: Uint8Array): void {
    this.#free.push(piece);
  }
}

const pageSize = 64 * 1024;
const mostPages = 65536;

/** What is used here of WebAssembly, which neither the language's types nor Node's declare. */
interface PagedMemory {
  readonly buffer: SharedArrayBuffer;
  grow(pages: number): number;
}

interface WithWebAssembly {
  readonly WebAssembly: {
    readonly Memory: new (size: { initial: number; maximum: number; shared: true }) => PagedMemory;
  };
}

/** One stretch of addresses, up to 4 GiB, of which only what was cut off takes memory. No other memory of JavaScript begins at a page. */
class Arena {
  #memory: PagedMemory | "refused" | undefined;

  /** Undefined when so much is not left, or the process may not have so many addresses. */
  cut(size: number): Uint8Array | undefined {
    this.#memory ??= reserve();
    if (this.#memory === "refused") return undefined;
    const pages = Math.ceil(size / pageSize);
    try {
      const at = this.#memory.grow(pages) * pageSize;
      return new Uint8Array(this.#memory.buffer, at, pages * pageSize);
    } catch {
      return undefined;
    }
  }
}

function reserve(): PagedMemory | "refused" {
  try {
    const { WebAssembly } = globalThis as unknown as WithWebAssembly;
    return new WebAssembly.Memory({ initial: 0, maximum: mostPages, shared: true });
  } catch {
    return "refused";
  }
}
