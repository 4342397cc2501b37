import { formatUtc } from "../format.ts";

/** "0.3 s": of waits that are short. */
export function formatSeconds(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(1)} s`;
}

/**
 * A moment in the reader's own zone and in UTC: "2026-11-20 11:00:00 +01:00 (10:00:00 UTC)", with the date in both where it
 * differs; once only where the zone is UTC. `offsetMinutes` is how far east of UTC the zone is at that moment.
 */
export function formatMoment(time: Date, offsetMinutes: number = -time.getTimezoneOffset()): string {
  const utc = formatUtc(time);
  if (offsetMinutes === 0) return utc;
  const local = new Date(time.getTime() + offsetMinutes * 60_000).toISOString();
  const size = Math.abs(offsetMinutes);
  const zone = `${offsetMinutes < 0 ? "-" : "+"}${pad(Math.floor(size / 60))}:${pad(size % 60)}`;
  const sameDay = local.slice(0, 10) === utc.slice(0, 10);
  return `${local.slice(0, 10)} ${local.slice(11, 19)} ${zone} (${sameDay ? utc.slice(11) : utc})`;
}

function pad(value: number): string {
  return String(value).padStart(2, "0");
}
