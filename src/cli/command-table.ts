import type { CommandSpec } from "./command-spec.ts";
import { MAIN_JOB_COMMANDS } from "./command-table/main-job.ts";
import { MONITORING_COMMANDS } from "./command-table/monitoring.ts";
import { RETENTION_COMMANDS } from "./command-table/retention.ts";
import { BACKGROUND_PROCESSES } from "./command-table/background.ts";

/** All commands, in the order of the help. */
export const COMMANDS: readonly CommandSpec[] = [
  ...MAIN_JOB_COMMANDS,
  ...MONITORING_COMMANDS,
  ...RETENTION_COMMANDS,
  ...BACKGROUND_PROCESSES,
];
