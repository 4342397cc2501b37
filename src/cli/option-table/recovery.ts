import { TARGETED } from "./commands-of.ts";
import { option } from "../option-spec.ts";
import { choice, flag, path, tablespaceMap, text } from "../option-type.ts";

/** Of backups, and of the way back. */
export const RECOVERY_OPTIONS = {
  fast: option(flag, {
    description: "begin with an immediate checkpoint instead of waiting for the next one",
    commands: ["backup"],
    default: false,
  }),
  to: option(text, {
    description: "where to end: latest, immediate, <time>, lsn:<lsn>, xid:<xid>, name:<restore point>",
    commands: TARGETED,
    flagOnly: true,
    default: "latest",
  }),
  timeline: option(text, {
    description: "the timeline to end on: latest, current (the backup's), or a number",
    commands: TARGETED,
    flagOnly: true,
    default: "latest",
  }),
  backup: option(text, {
    description: "the label of the backup to begin with",
    commands: TARGETED,
    flagOnly: true,
    defaultText: "the best one for the target",
  }),
  exclusive: option(flag, {
    description: "end just before the target instead of just after it",
    commands: TARGETED,
    flagOnly: true,
    default: false,
  }),
  action: option(choice("pause", "promote", "shutdown"), {
    description: "what the server does when it has reached the target",
    commands: ["restore"],
    flagOnly: true,
    default: "pause",
  }),
  standby: option(flag, {
    description: "restore as a standby, which goes on to follow the archive",
    commands: ["restore"],
    flagOnly: true,
    default: false,
  }),
  tablespace: option(tablespaceMap, {
    description: "put the tablespace that was at old (or has that OID) at new; may be repeated",
    commands: ["restore"],
    flagOnly: true,
  }),
  waldir: option(path, {
    description: "put pg_wal there and link to it",
    commands: ["restore"],
    flagOnly: true,
  }),
  archiving: option(choice("off", "on"), {
    description:
      "on: this is the real cluster come back, it archives on into its history; off: a clone, which must not",
    commands: ["restore"],
    flagOnly: true,
    default: "off",
  }),
  "dry-run": option(flag, {
    description: "print the plan and touch nothing",
    commands: ["restore"],
    flagOnly: true,
    default: false,
  }),
} as const;
