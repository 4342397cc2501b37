/** Workers when nobody says how many: one for each processor, but no more than leave a server its breath. */
export function defaultJobs(processors: number): number {
  return Math.max(1, Math.min(4, processors));
}
