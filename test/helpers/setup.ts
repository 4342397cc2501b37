import { afterAll } from "vitest";
import { disposeEverything } from "./cleanup.ts";

afterAll(disposeEverything);
