import { MemoryStore } from "../../src/storage/drivers/memory/memory-store.ts";
import { describeStore } from "./store-conformance.ts";

describeStore("the memory driver", async () => {
  const store = new MemoryStore(() => new Date(1_700_000_000_000));
  return { store, second: store };
});
