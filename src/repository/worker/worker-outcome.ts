import type { ErrorCode } from "../../errors.ts";

/** What a worker gives back: a result, or the fields of a `PgarkError`. */
export type Outcome<T> =
  | { readonly kind: "value"; readonly value: T }
  | {
      readonly kind: "error";
      readonly code: ErrorCode;
      readonly message: string;
      readonly operation: string;
      readonly object: string | undefined;
      readonly hint: string | undefined;
      readonly facts: Readonly<Record<string, unknown>> | undefined;
      readonly cause: string | undefined;
    };

/** The last message of a task on its port. */
export const endOfMessages = "end";
