import { readFile, rename, rm, writeFile } from "node:fs/promises";
import { errnoOf, ioError, PgarkError } from "../errors.ts";
import type { TimelineId } from "../postgres/timeline.ts";
import { timelineId } from "../postgres/timeline.ts";
import type { CatalogPart } from "../repository/catalog.ts";
import type { Fault, FaultKind } from "./fault.ts";

/** How far a run that reads has come in one life of a cluster, and what it found there. */
export interface LifeProgress {
  /** label -> how many packs are done, in the order of the manifest */
  readonly packs: Map<string, number>;
  /** timeline -> the segment up to which all are done */
  readonly wal: Map<TimelineId, bigint>;
  faults: readonly Fault[];
  packsRead: number;
  segmentsRead: number;
  bytesRead: number;
}

/** What makes a run the same one as before. */
export interface StateScope {
  /** the repository's URL and the cluster */
  readonly repository: string;
  readonly cluster: string;
  /** as the user wrote it; undefined for everything */
  readonly sample: string | undefined;
}

/** Progress is written no sooner than this after the last time. */
const saveEveryMs = 5_000;

/**
 * Keeps what a run has done in a local file, replaced as a whole now and then, so that a run that was interrupted goes on. The
 * file goes when the run has come to its end.
 */
export class VerifyState {
  readonly seed: string;
  readonly begun: Date;
  readonly #file: string | undefined;
  readonly #scope: StateScope;
  readonly #lives: Map<string, LifeProgress>;
  readonly #now: () => Date;
  #saved: number;
  #saving: Promise<void> = Promise.resolve();

  private constructor(
    file: string | undefined,
    scope: StateScope,
    now: () => Date,
    found: Pick<VerifyState, "seed" | "begun"> & { readonly lives: Map<string, LifeProgress> },
  ) {
    this.#file = file;
    this.#scope = scope;
    this.#now = now;
    this.#lives = found.lives;
    this.seed = found.seed;
    this.begun = found.begun;
    this.#saved = now().getTime();
  }

  /**
   * Reads the file, if there is one, else begins anew. Without a file nothing is kept. Throws `refused` for the file of another
   * run.
   * @param seed of the sample, for a run that begins
   */
  static async open(
    file: string | undefined,
    scope: StateScope,
    { seed, now }: { readonly seed: string; readonly now: () => Date },
  ): Promise<VerifyState> {
    const found = file === undefined ? undefined : await readState(file, scope);
    return new VerifyState(file, scope, now, found ?? { seed, begun: now(), lives: new Map() });
  }

  /** Whether it goes on with what an earlier run has begun. */
  get isResumed(): boolean {
    return this.#lives.size > 0;
  }

  life(identity: string): LifeProgress {
    const known = this.#lives.get(identity);
    if (known !== undefined) return known;
    const fresh = { packs: new Map(), wal: new Map(), faults: [], packsRead: 0, segmentsRead: 0, bytesRead: 0 };
    this.#lives.set(identity, fresh);
    return fresh;
  }

  /** Writes the file if it is time to. */
  async saveSometimes(): Promise<void> {
    if (this.#now().getTime() - this.#saved >= saveEveryMs) await this.save();
  }

  async save(): Promise<void> {
    const file = this.#file;
    if (file === undefined) return;
    this.#saved = this.#now().getTime();
    const text = this.#encode();
    // One after the other; that one failed does not keep the next from succeeding.
    this.#saving = this.#saving
      .catch(() => undefined)
      .then(async () => {
        try {
          await writeFile(`${file}.tmp`, text, { mode: 0o600 });
          await rename(`${file}.tmp`, file);
        } catch (error) {
          throw ioError("write state file", file, error);
        }
      });
    await this.#saving;
  }

  /** Nothing is left to go on with. */
  async remove(): Promise<void> {
    if (this.#file !== undefined) await rm(this.#file, { force: true });
  }

  #encode(): string {
    const lives = [...this.#lives].map(([identity, life]) => [
      identity,
      {
        ...life,
        packs: Object.fromEntries(life.packs),
        wal: Object.fromEntries([...life.wal].map(([timeline, segment]) => [timeline, String(segment)])),
        faults: life.faults.map((fault) => ({ ...fault, costs: fault.costs.map(encodePart) })),
      },
    ]);
    const { sample, repository, cluster } = this.#scope;
    const head = { kind, format, repository, cluster, sample: sample ?? null, seed: this.seed };
    return `${JSON.stringify({ ...head, begun: this.begun.toISOString(), lives: Object.fromEntries(lives) })}\n`;
  }
}

const kind = "pgark verify state";
const format = 1;

interface StateFile extends Omit<StateScope, "sample"> {
  readonly kind: string;
  readonly format: number;
  readonly sample: string | null;
  readonly seed: string;
  readonly begun: string;
  readonly lives: Readonly<
    Record<
      string,
      Omit<LifeProgress, "packs" | "wal" | "faults"> & {
        readonly packs: Readonly<Record<string, number>>;
        readonly wal: Readonly<Record<string, string>>;
        readonly faults: readonly (Omit<Fault, "costs" | "kind"> & {
          readonly kind: string;
          readonly costs: readonly EncodedPart[];
        })[];
      }
    >
  >;
}

async function readState(
  file: string,
  scope: StateScope,
): Promise<(Pick<VerifyState, "seed" | "begun"> & { readonly lives: Map<string, LifeProgress> }) | undefined> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw ioError("read state file", file, error);
  }
  if (text === "") return undefined; // a machine that crashed may leave that of it
  const state = parse(file, text);
  const differs = [
    ["repository", state.repository, scope.repository],
    ["cluster", state.cluster, scope.cluster],
    ["sample", state.sample ?? "none", scope.sample ?? "none"],
  ].find(([, there, here]) => there !== here);
  if (differs !== undefined) {
    throw refused(file, `it is of a run with another ${differs[0]}: ${differs[1]}, and this one's is ${differs[2]}`);
  }
  const lives = Object.entries(state.lives).map(([identity, life]): [string, LifeProgress] => [
    identity,
    {
      ...life,
      packs: new Map(Object.entries(life.packs)),
      wal: new Map(
        Object.entries(life.wal).map(([timeline, segment]) => [timelineId(Number(timeline)), BigInt(segment)]),
      ),
      faults: life.faults.map((fault) => ({
        ...fault,
        kind: fault.kind as FaultKind,
        hint: fault.hint ?? undefined,
        costs: fault.costs.map(decodePart),
      })),
    },
  ]);
  return { seed: state.seed, begun: new Date(state.begun), lives: new Map(lives) };
}

function parse(file: string, text: string): StateFile {
  let state: Partial<StateFile> | null;
  try {
    state = JSON.parse(text) as Partial<StateFile> | null;
  } catch {
    state = null;
  }
  if (state?.kind === kind && state.format === format) return state as StateFile;
  throw refused(file, "it is no state file of this version of pgark verify");
}

function refused(file: string, problem: string): PgarkError {
  return new PgarkError("refused", problem, {
    operation: "read state file",
    object: file,
    hint: "name another file, or delete this one to begin anew",
  });
}

type EncodedPart =
  | Exclude<CatalogPart, { readonly kind: "segments" }>
  | { readonly kind: "segments"; readonly timeline: TimelineId; readonly first: string; readonly last: string };

function encodePart(part: CatalogPart): EncodedPart {
  return part.kind === "segments" ? { ...part, first: String(part.first), last: String(part.last) } : part;
}

function decodePart(part: EncodedPart): CatalogPart {
  return part.kind === "segments" ? { ...part, first: BigInt(part.first), last: BigInt(part.last) } : part;
}
