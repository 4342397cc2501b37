/** Writes the documentation that is made from the sources. Needs a node that reads TypeScript (24): npm run docs, or node scripts/write-docs.mjs. */
import { writeFile } from "node:fs/promises";
import { configurationDoc } from "../src/cli/configuration-doc.ts";

await writeFile(new URL("../docs/configuration.md", import.meta.url), configurationDoc());
