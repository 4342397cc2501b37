import { option } from "../option-spec.ts";
import { flag, path, percent, text } from "../option-type.ts";

/** Of verify. */
export const VERIFY_OPTIONS = {
  read: option(flag, {
    description: "read everything back in full, not only look whether it is there and how large it is",
    commands: ["verify"],
    flagOnly: true,
    default: false,
  }),
  sample: option(percent, {
    description: "read this share of packs and WAL segments, chosen at random",
    commands: ["verify"],
    flagOnly: true,
    defaultText: "all of them, with --read",
  }),
  seed: option(text, {
    description: "what the sample is chosen by, as an earlier run has printed it, to read the same one again",
    commands: ["verify"],
    flagOnly: true,
    defaultText: "another one each time",
  }),
  "state-file": option(path, {
    description: "keep in this file what has been read, so that a run that was interrupted goes on",
    commands: ["verify"],
    flagOnly: true,
    defaultText: "none: it begins anew",
  }),
} as const;
