import { PgarkError } from "../errors.ts";

/** A log sequence number: a byte position in the WAL of a cluster. */
export type Lsn = bigint & { readonly __brand: "Lsn" };

/** Brands a 64-bit position as an LSN. */
export function lsn(value: bigint): Lsn {
  return value as Lsn;
}

/** Reads PostgreSQL's text form, `X/X` in hexadecimal; throws `usage` on anything else. */
export function parseLsn(text: string): Lsn {
  const match = /^([0-9A-Fa-f]{1,8})\/([0-9A-Fa-f]{1,8})$/.exec(text);
  if (match === null) {
    throw new PgarkError("usage", "not a log sequence number", {
      operation: "read LSN",
      object: text,
      hint: "an LSN is two hexadecimal numbers with a slash between them, such as 0/3000060",
    });
  }
  return lsn((BigInt(`0x${match[1]}`) << 32n) | BigInt(`0x${match[2]}`));
}

/** PostgreSQL's text form: upper-case hexadecimal, no leading zeros in either half. */
export function formatLsn(position: Lsn): string {
  return `${(position >> 32n).toString(16).toUpperCase()}/${(position & 0xffffffffn).toString(16).toUpperCase()}`;
}
