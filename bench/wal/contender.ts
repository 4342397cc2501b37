import type { Background } from "./processor-time.ts";

/** A tool that archives and fetches WAL ahead of PostgreSQL, with a repository and a spool of its own. */
export interface WalContender {
  readonly name: string;
  /** An empty repository for the cluster. */
  prepare(): Promise<void>;
  /** bytes that a repository of files takes */
  stored(): Promise<number>;
  /** Empties the spool, in which nobody works. */
  clearSpool(): Promise<void>;
  readonly archiveCommand: string;
  /** for the server in that data directory; `ahead`: bytes of WAL that may lie in the spool */
  restoreCommand(pgdata: string, ahead: number): string;
  /** how many segments the spool calls archived */
  acknowledged(): Promise<number>;
  /** how many segments lie in the spool for recovery */
  prefetched(): Promise<number>;
  /** how its background processes end when there is no more work */
  readonly backgroundEnds: Parameters<Background["end"]>[0];
}
