import { STATUS, PRUNING, DELETING } from "./commands-of.ts";
import { option } from "../option-spec.ts";
import { count, duration, flag, text } from "../option-type.ts";

/** What stays in the repository, and how it is pinned and deleted. */
export const RETENTION_OPTIONS = {
  "keep-last": option(count, {
    description: "keep so many of the newest backups, and all WAL from the oldest of them on",
    commands: PRUNING,
  }),
  "keep-within": option(duration, {
    description: "keep every moment of this length of time restorable: the recovery window",
    commands: PRUNING,
  }),
  "keep-daily": option(count, {
    description: "keep the newest backup of each of so many days (of UTC) that have one",
    commands: PRUNING,
  }),
  "keep-weekly": option(count, {
    description: "the same for weeks, which begin on Monday",
    commands: PRUNING,
  }),
  "keep-monthly": option(count, {
    description: "the same for months",
    commands: PRUNING,
  }),
  "keep-yearly": option(count, {
    description: "the same for years",
    commands: PRUNING,
  }),
  "abandoned-after": option(duration, {
    description:
      "take a backup that was begun and not completed for abandoned when nothing was heard of it for so long",
    commands: [...DELETING, ...STATUS],
    default: 86_400_000,
    defaultText: "24h",
  }),
  confirm: option(flag, {
    description: "do it; without this only the plan is printed",
    commands: DELETING,
    flagOnly: true,
    default: false,
  }),
  until: option(text, {
    description: "keep it before this moment, a time or a length of time from now; afterwards the policy decides again",
    commands: ["keep"],
    flagOnly: true,
    defaultText: "for ever",
  }),
  reason: option(text, {
    description: "why, for whoever reads it later",
    commands: ["keep", "acknowledge-hole"],
    flagOnly: true,
  }),
} as const;
