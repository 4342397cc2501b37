import { PgarkError } from "../errors.ts";
import { formatLsn, parseLsn } from "./lsn.ts";
import type { Lsn } from "./lsn.ts";

/** The number of a timeline, 1 to 2^32-1. */
export type TimelineId = number & { readonly __brand: "TimelineId" };

const MAX_TIMELINE = 0xffffffff;

export function timelineId(value: number): TimelineId {
  return value as TimelineId;
}

/** Where one timeline was left for the next one: WAL of `timeline` counts up to `switchPoint`. */
export interface TimelineSwitch {
  readonly timeline: TimelineId;
  readonly switchPoint: Lsn;
  readonly reason: string;
}

/** The way to a timeline from the first one: its ancestors, oldest first. Timeline 1 has none (and no file). */
export interface TimelineHistory {
  readonly timeline: TimelineId;
  readonly ancestors: readonly TimelineSwitch[];
}

/** Reads a timeline as people and `recovery_target_timeline` write it, in decimal; throws `usage` on anything else. */
export function parseTimelineId(text: string): TimelineId {
  const value = /^\d{1,10}$/.test(text) ? Number(text) : 0;
  if (value < 1 || value > MAX_TIMELINE) {
    throw new PgarkError("usage", "not a timeline", {
      operation: "read timeline",
      object: text,
      hint: "a timeline is a decimal number from 1 on; 0000000A in a file name is timeline 10",
    });
  }
  return timelineId(value);
}

/** Reads the eight hexadecimal digits of a timeline in a file name; throws `usage` on anything else. */
export function parseTimelineHex(hex8: string): TimelineId {
  const value = /^[0-9A-F]{8}$/.test(hex8) ? Number.parseInt(hex8, 16) : 0;
  if (value < 1) {
    throw new PgarkError("usage", "not a timeline in eight hexadecimal digits", {
      operation: "read timeline",
      object: hex8,
    });
  }
  return timelineId(value);
}

/** The eight upper-case hexadecimal digits that begin the names of the timeline's files. */
export function formatTimeline(timeline: TimelineId): string {
  return timeline.toString(16).toUpperCase().padStart(8, "0");
}

/**
 * Reads a `.history` file as `readTimeLineHistory` does (src/backend/access/transam/timeline.c): comments and blank lines are
 * passed over, numbers must increase and stay below `timeline`. Switch points need not increase, there or here: recovery
 * that ends before its target timeline began writes a lower one. Unlike there, a file without any ancestor is `corrupt`, for
 * PostgreSQL never writes one and believing it would cut the cluster's past off.
 */
export function parseTimelineHistory(text: string, timeline: TimelineId): TimelineHistory {
  const ancestors: TimelineSwitch[] = [];
  for (const line of text.split("\n")) {
    const content = line.trim();
    if (content === "" || content.startsWith("#")) continue;
    const entry = parseSwitch(content);
    if (entry === undefined) throw corruptHistory(timeline, `unreadable line "${content}" in a timeline history`);
    const previous = ancestors.at(-1);
    if (previous !== undefined && entry.timeline <= previous.timeline) {
      throw corruptHistory(timeline, "timelines in a history do not increase");
    }
    ancestors.push(entry);
  }
  const last = ancestors.at(-1);
  if (last === undefined) throw corruptHistory(timeline, "a timeline history without a single ancestor");
  if (last.timeline >= timeline)
    throw corruptHistory(timeline, "an ancestor in a history is not older than its timeline");
  return { timeline, ancestors };
}

/** The text that PostgreSQL would write, without comments. */
export function formatTimelineHistory(history: TimelineHistory): string {
  return history.ancestors
    .map(({ timeline, switchPoint, reason }) => `${timeline}\t${formatLsn(switchPoint)}\t${reason}\n`)
    .join("");
}

function parseSwitch(line: string): TimelineSwitch | undefined {
  const match = /^(\d{1,10})\s+([0-9A-Fa-f]{1,8}\/[0-9A-Fa-f]{1,8})(?:\s+(.*))?$/.exec(line);
  const value = Number(match?.[1] ?? 0);
  if (match === null || value < 1 || value > MAX_TIMELINE) return undefined;
  return { timeline: timelineId(value), switchPoint: parseLsn(match[2] ?? ""), reason: match[3] ?? "" };
}

function corruptHistory(timeline: TimelineId, problem: string): PgarkError {
  return new PgarkError("corrupt", problem, {
    operation: "read timeline history",
    object: `${formatTimeline(timeline)}.history`,
    hint: "compare it with the file of that name in pg_wal of a server of this cluster",
  });
}
