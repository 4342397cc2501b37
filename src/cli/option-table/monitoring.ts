import { STATUS } from "./commands-of.ts";
import { option } from "../option-spec.ts";
import { duration, flag, listenAddress, path, thresholds } from "../option-type.ts";

/** Of status, metrics and serve. */
export const MONITORING_OPTIONS = {
  check: option(flag, {
    description: "for monitoring: print one line, and say with the exit code how things stand",
    commands: ["status"],
    flagOnly: true,
    default: false,
  }),
  warn: option(thresholds, {
    description: "from which values on to warn; the names are listed by pgark status --help",
    commands: STATUS,
    default: {},
    defaultText: "those listed there",
  }),
  crit: option(thresholds, {
    description: "from which values on things are critical",
    commands: STATUS,
    default: {},
    defaultText: "those listed there",
  }),
  output: option(path, {
    description: "write to this file instead of standard output, replacing it as a whole",
    commands: ["metrics"],
    flagOnly: true,
  }),
  metrics: option(flag, {
    description: "serve /metrics for Prometheus",
    commands: ["serve"],
    flagOnly: true,
    default: false,
  }),
  listen: option(listenAddress, {
    description: "the address and port to listen on; [::]:9787 is every address",
    commands: ["serve"],
    default: { host: "127.0.0.1", port: 9787 },
    defaultText: "127.0.0.1:9787",
  }),
  interval: option(duration, {
    description: "look no more often than this; who asks sooner gets what was seen last",
    commands: ["serve"],
    default: 60_000,
    defaultText: "1min",
  }),
} as const;
