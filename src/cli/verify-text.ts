import { formatBytes, plural } from "../format.ts";
import { formatIdentity } from "../postgres/cluster-identity.ts";
import { formatLsn } from "../postgres/lsn.ts";
import { segmentFileName } from "../postgres/wal-file-name.ts";
import type { Loss, LostStretch, StretchEnd } from "../restore/lost-moments.ts";
import type { WalHole } from "../restore/wal-holes.ts";
import type { Paint } from "./colours.ts";
import { formatMoment } from "./format.ts";
import { walJson, windowJson } from "./json-shapes.ts";
import type { Json } from "./json-shapes.ts";
import { section, windowLines } from "./plan-text.ts";
import type { JudgedFault, JudgedLife, VerifyAnswer } from "./verify-verdict.ts";

/** Faults that are told to a person one by one; `--json` has them all. */
const mostTold = 100;

/** What `pgark verify` says to a person. */
export function verifyText(answer: VerifyAnswer, paint: Paint): string {
  const { ofCluster, lives, sample, seed } = answer;
  const foreign = ofCluster.faults.map(({ object, problem }) => `${object}: ${problem}`);
  const chosen = sample === undefined ? "" : `read a sample of ${sample}; --seed ${seed} reads the same one again\n`;
  return (
    chosen +
    lives.map((life) => lifeText(life, answer, paint)).join("\n") +
    section("does not belong into the cluster's folder", foreign, paint) +
    `\n${resultText(answer, paint)}\n`
  );
}

function resultText({ result, depth, sample }: VerifyAnswer, paint: Paint): string {
  switch (result) {
    case "whole":
      if (depth === "listed") return paint("green", "all is there; that it is whole, only --read can tell");
      return paint("green", sample === undefined ? "all is there, and whole" : "all is there; what was read is whole");
    case "faults":
      return paint("red", "there are faults: see above");
    case "unknown":
      return paint("yellow", "no fault was found, but not everything could be found out: see above");
  }
}

function lifeText(life: JudgedLife, answer: VerifyAnswer, paint: Paint): string {
  const { report, faults, holes } = life;
  const { findings, catalog } = report;
  const segments = (list: readonly WalHole[]): readonly string[] =>
    list.map((hole) => holeText(hole, catalog.walSegmentSize));
  const told = faults.slice(0, mostTold);
  const more = findings.faultCount - told.length;
  return (
    `${paint("bold", formatIdentity(report.identity))}: ${countText(life, answer)}\n` +
    (told.length === 0 ? "" : `\n${paint("bold", `${plural(findings.faultCount, "fault")}:`)}\n`) +
    told.map((fault) => faultText(fault, paint)).join("") +
    (more > 0 ? `  and ${more} more: --json has them\n` : "") +
    section("could not be found out", findings.unknown.slice(0, mostTold).map(unknownText), paint) +
    section("lost by all this", lossLines(life.lost), paint) +
    (findings.faultCount === 0 ? "" : section("can still be restored", windowText(life), paint)) +
    section("WAL that is known to be missing", segments(holes.acknowledged), paint) +
    section("WAL that the policy does not keep", segments(holes.expired), paint) +
    section("begun and not complete", report.unfinished, paint)
  );
}

function countText({ report }: JudgedLife, { depth }: VerifyAnswer): string {
  const there = `${plural(report.catalog.backups.length, "backup")}, ${plural(report.segments, "WAL segment")}`;
  if (depth === "listed") return there;
  const read = `${plural(report.packsRead, "pack")} and ${plural(report.segmentsRead, "WAL file")}`;
  return `${there}; read ${read}, ${formatBytes(report.bytesRead)}`;
}

function windowText({ window }: JudgedLife): readonly string[] {
  return window.length === 0 ? ["nothing"] : windowLines(window);
}

function faultText({ kind, object, problem, hint, lost }: JudgedFault, paint: Paint): string {
  const lines = [
    problem,
    ...(lost === undefined ? [] : [lossText(lost)]),
    ...(hint === undefined ? [] : [`to do: ${hint}`]),
  ];
  return `  ${paint("red", kind)}  ${object}\n${lines.map((line) => `      ${line}\n`).join("")}`;
}

function lossText(loss: Loss): string {
  const lines = lossLines(loss);
  return lines.length === 0 ? "nothing is lost by it" : `lost: ${lines.join("; ")}`;
}

function lossLines({ backups, moments }: Loss): readonly string[] {
  const labels = backups.map((label) => `backup ${label}`);
  return [...labels, ...moments.map((stretch) => stretchText(stretch))];
}

function stretchText({ timeline, from, to }: LostStretch): string {
  return `timeline ${timeline} from ${endText(from)} to ${endText(to)}`;
}

function endText({ lsn, time }: StretchEnd): string {
  return time === undefined ? formatLsn(lsn) : `${formatMoment(time)}, ${formatLsn(lsn)}`;
}

function unknownText({ object, problem }: { readonly object: string; readonly problem: string }): string {
  return `${object}: ${problem}`;
}

function holeText({ timeline, first, last }: WalHole, segmentSize: number): string {
  const name = segmentFileName(timeline, first, segmentSize);
  return first === last ? name : `${name} to ${segmentFileName(timeline, last, segmentSize)}`;
}

/** The answer for machines, as docs/json.md says. */
export function verifyJson(answer: VerifyAnswer): { readonly [key: string]: Json } {
  const { cluster, depth, sample, seed, begun, finished, result, ofCluster, lives } = answer;
  return {
    cluster,
    result,
    depth,
    sample: sample ?? null,
    seed: seed ?? null,
    begun: begun.toISOString(),
    finished: finished.toISOString(),
    faults: ofCluster.faults.map(({ kind, object, problem, hint }) => ({ kind, object, problem, hint: hint ?? null })),
    lives: lives.map(lifeJson),
  };
}

function lifeJson({ report, faults, lost, window, holes, recorded }: JudgedLife): Json {
  const { findings, catalog } = report;
  const holesJson = (list: readonly WalHole[]): Json => list.map((hole) => walJson(hole, catalog.walSegmentSize));
  return {
    identity: formatIdentity(report.identity),
    backups: catalog.backups.length,
    segments: report.segments,
    packsRead: report.packsRead,
    segmentsRead: report.segmentsRead,
    bytesRead: report.bytesRead,
    faultCount: findings.faultCount,
    faults: faults.map((fault) => ({
      kind: fault.kind,
      object: fault.object,
      problem: fault.problem,
      hint: fault.hint ?? null,
      lost: fault.lost === undefined ? null : lossJson(fault.lost),
    })),
    unknownCount: findings.unknownCount,
    unknown: findings.unknown.map(({ object, problem }) => ({ object, problem })),
    lost: lossJson(lost),
    window: window.map(windowJson),
    acknowledged: holesJson(holes.acknowledged),
    expired: holesJson(holes.expired),
    unfinished: report.unfinished,
    record: recorded ?? null,
  };
}

function lossJson({ backups, moments }: Loss): Json {
  const end = ({ lsn, time }: StretchEnd): Json => ({ lsn: formatLsn(lsn), time: time?.toISOString() ?? null });
  return { backups, moments: moments.map(({ timeline, from, to }) => ({ timeline, from: end(from), to: end(to) })) };
}
