import { PgarkError } from "../../errors.ts";
import { plural } from "../../format.ts";
import { formatIdentity } from "../../postgres/cluster-identity.ts";
import { parseWalFileName, segmentFileName, segmentNumber } from "../../postgres/wal-file-name.ts";
import { acknowledgeHole } from "../../repository/acknowledged-holes.ts";
import type { Catalog } from "../../repository/catalog.ts";
import { loadCatalog } from "../../repository/load-catalog.ts";
import { findWalHoles } from "../../restore/wal-holes.ts";
import type { WalHole } from "../../restore/wal-holes.ts";
import { chooseIdentity } from "../choose-life.ts";
import type { CommandRun } from "../command.ts";
import { EXIT } from "../exit-codes.ts";
import { walJson } from "../json-shapes.ts";
import { withRepository } from "../with-repository.ts";

const operation = "acknowledge hole";

/** `pgark acknowledge-hole <first> [<last>]`: writes down that somebody knows of missing WAL. */
export async function main(run: CommandRun): Promise<number> {
  const { io, log, settings } = run;
  const [first = "", last = first] = run.args;
  const { catalog, hole, isNew } = await withRepository(run, { keys: "all" }, async (repository) => {
    const { signal } = io;
    const identity = await chooseIdentity(run, repository, operation);
    const found = await loadCatalog(repository, identity, { signal, log });
    const range = readHole(first, last, found.walSegmentSize);
    refuseWhatIsThere(found, range);
    refuseTheFuture(found, range);
    const said = { reason: settings.values.reason ?? "", acknowledged: io.now(), host: io.hostName };
    return {
      catalog: found,
      hole: range,
      isNew: await acknowledgeHole(repository, found, { ...range, ...said }, { signal }),
    };
  });
  const segments = plural(Number(hole.last - hole.first + 1n), "missing segment");
  await run.print({
    json: () => ({ identity: formatIdentity(catalog.identity), ...walJson(hole, catalog.walSegmentSize), new: isNew }),
    text: () =>
      `${segments} from ${first} ${isNew ? "acknowledged" : "had been acknowledged already"}; what lies behind them cannot be ` +
      "restored from a backup before them\n",
  });
  return EXIT.ok;
}

function readHole(first: string, last: string, segmentSize: number): WalHole {
  const [from, to] = [first, last].map((text) => {
    const name = parseWalFileName(text);
    if (name?.kind === "segment") return { timeline: name.timeline, number: segmentNumber(name, segmentSize) };
    throw usage(text, "not the name of a WAL segment", "it has 24 digits, such as 0000000100000002000000A7");
  });
  if (from !== undefined && from.timeline === to?.timeline && from.number <= to.number) {
    return { timeline: from.timeline, first: from.number, last: to.number };
  }
  throw usage(
    `${first} ${last}`,
    "not a stretch of WAL",
    "the first and the last segment are of one timeline, in order",
  );
}

function refuseWhatIsThere({ wal, walSegmentSize }: Catalog, hole: WalHole): void {
  const there = wal.find(
    ({ timeline, first, last }) => timeline === hole.timeline && first <= hole.last && last >= hole.first,
  );
  if (there === undefined) return;
  const segment = there.first > hole.first ? there.first : hole.first;
  throw new PgarkError("refused", "the segment is in the repository", {
    operation,
    object: segmentFileName(hole.timeline, segment, walSegmentSize),
    hint: "pgark status lists the holes",
  });
}

/** What was not archived yet is no hole; nor may it become one unseen. */
function refuseTheFuture(catalog: Catalog, hole: WalHole): void {
  const newest = catalog.wal.findLast(({ timeline }) => timeline === hole.timeline)?.last ?? -1n;
  const isNeeded = findWalHoles(catalog).some(
    ({ timeline, first, last }) => timeline === hole.timeline && first <= hole.first && last >= hole.last,
  );
  if (hole.last < newest || isNeeded) return;
  throw new PgarkError("refused", "there is no such hole: no WAL of this timeline lies behind it", {
    operation,
    object: segmentFileName(hole.timeline, hole.last, catalog.walSegmentSize),
    hint: "what PostgreSQL has not archived yet may still come; pgark status lists the holes",
  });
}

function usage(object: string, problem: string, hint: string): PgarkError {
  return new PgarkError("usage", problem, { operation, object, hint });
}
