/** `npm run demo`: runs demo/demo.ts, over the fresh build, as an ordinary user, since PostgreSQL refuses to run as root. */
import { asOrdinaryUser } from "./as-ordinary-user.mjs";

process.exitCode = await asOrdinaryUser({ command: "node", args: ["demo/demo.ts", ...process.argv.slice(2)] });
