/**
 * What the library says while it works. The command line decides where it goes (pino, progress bar, nowhere); nothing below
 * `cli` prints. Messages are lower case without a full stop; facts are for machines.
 */
export interface Log {
  debug(message: string, facts?: Readonly<Record<string, unknown>>): void;
  info(message: string, facts?: Readonly<Record<string, unknown>>): void;
  warn(message: string, facts?: Readonly<Record<string, unknown>>): void;
}

/** Progress of one long operation. `total` may grow while a scan is still under way. */
export interface Progress {
  readonly phase: string;
  readonly doneBytes: number;
  readonly totalBytes: number;
  readonly doneFiles: number;
}
export type OnProgress = (progress: Progress) => void;

export const silentLog: Log = { debug() {}, info() {}, warn() {} };
