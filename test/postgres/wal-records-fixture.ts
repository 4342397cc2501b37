import { joinWalSegment } from "../../src/postgres/wal-chain.ts";
import type { WalChain } from "../../src/postgres/wal-chain.ts";
import { checkWalSegment } from "../../src/postgres/wal-records.ts";
import type { WalFault, WalSegmentCheck, WalSegmentInput } from "../../src/postgres/wal-segment-check.ts";
import { WalBuilder } from "./wal-builder.ts";
import type { WalBuilderOptions } from "./wal-builder.ts";

/** Records of 50 to 500 bytes, until one begins in the next segment. */
export function ordinaryWal(options: WalBuilderOptions = {}): WalBuilder {
  const wal = new WalBuilder(options);
  fill(wal, wal.start + BigInt(wal.segmentSize));
  return wal;
}

export function fill(wal: WalBuilder, until: bigint): void {
  for (let number = 0; wal.position < until; number++) wal.addData(Buffer.alloc(24 + ((number * 31) % 450), number));
}

/** Checks each segment by itself, as worker threads would, and joins them all. */
export function checkAll(segments: readonly WalSegmentInput[]): { checks: WalSegmentCheck[]; faults: WalFault[] } {
  const checks = segments.map((input) => structuredClone(checkWalSegment(input)));
  const faults: WalFault[] = [];
  let chain: WalChain | undefined;
  for (const one of checks) {
    const joined = joinWalSegment(chain, one);
    chain = joined.chain;
    for (const fault of [one.fault, joined.fault]) if (fault !== undefined) faults.push(fault);
  }
  return { checks, faults };
}

export function check(input: WalSegmentInput, wholeUntil?: WalSegmentInput["wholeUntil"]): WalSegmentCheck {
  return checkWalSegment({ ...input, wholeUntil });
}

export function flip(bytes: Uint8Array, at: number, bits: number): void {
  bytes[at] = (bytes[at] ?? 0) ^ bits;
}
