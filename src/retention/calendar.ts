/** Parts of the calendar, in UTC; a week begins on Monday (ISO 8601). */
export type CalendarUnit = "daily" | "weekly" | "monthly" | "yearly";

/** The name of the period that a moment lies in: "2026-11-20", "2026-W47", "2026-11", "2026". */
export function periodOf(unit: CalendarUnit, time: number): string {
  const day = new Date(time).toISOString().slice(0, 10);
  switch (unit) {
    case "daily":
      return day;
    case "weekly":
      return weekOf(new Date(`${day}T00:00:00Z`));
    case "monthly":
      return day.slice(0, 7);
    case "yearly":
      return day.slice(0, 4);
  }
}

/** A week belongs to the year that its Thursday lies in. */
function weekOf(day: Date): string {
  const thursday = new Date(day);
  thursday.setUTCDate(day.getUTCDate() + 3 - ((day.getUTCDay() + 6) % 7));
  const dayOfYear = Math.round((thursday.getTime() - Date.UTC(thursday.getUTCFullYear(), 0, 1)) / 86_400_000);
  return `${thursday.getUTCFullYear()}-W${String(1 + Math.floor(dayOfYear / 7)).padStart(2, "0")}`;
}
