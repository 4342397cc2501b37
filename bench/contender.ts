import type { Cluster } from "../test/helpers/cluster.ts";
import type { Command } from "./measure.ts";

type Line = Pick<Command, "program" | "args" | "env">;

/** A way of taking and restoring backups, with a repository of its own. */
export interface Contender {
  readonly name: string;
  /** Creates the repository. */
  prepare(cluster: Cluster): Promise<void>;
  /** The shell line that archives "$1". */
  readonly archiveLine: string;
  /** A full backup. */
  backup(): Line;
  /** Of the newest backup, to a directory that does not exist yet. */
  restore(target: string): Line;
  /** One segment, in the foreground. */
  push(file: string): Line;
  fetch(name: string, target: string): Line;
}
