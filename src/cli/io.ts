/** All of the process that the command line may touch: tests give their own. */
export interface Io {
  /** the arguments after the program's name */
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly stdout: Output;
  readonly stderr: Output;
  readonly now: () => Date;
  /** when the process began */
  readonly startedAt: Date;
  readonly random: () => number;
  readonly sleep: (milliseconds: number, signal: AbortSignal | undefined) => Promise<void>;
  /** fires when pgark is asked to stop */
  readonly signal: AbortSignal;
  /** the signal that asked, once it did */
  readonly stoppedBy: () => "SIGINT" | "SIGTERM" | undefined;
  readonly hostName: string;
  readonly processors: number;
  /** undefined where there are no user ids */
  readonly userId: number | undefined;
  /** undefined for a user without a home directory, as in many containers */
  readonly homeDirectory: string | undefined;
  /** the directory that holds bin/ and dist/ */
  readonly install: string;
}

export interface Output {
  readonly isTerminal: boolean;
  /** columns of the terminal; undefined when it is none */
  readonly columns: number | undefined;
  readonly write: (text: string) => void;
  /** Writes, and resolves once the text was taken; rejects when it was not. For what must not get lost. */
  readonly deliver: (text: string) => Promise<void>;
  /** the stream itself, for the progress bar */
  readonly stream: NodeJS.WritableStream;
}
