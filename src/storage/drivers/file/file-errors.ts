import { errnoOf, ioError, isPgarkError, PgarkError } from "../../../errors.ts";

/** What a failed file operation means to a user of the store. `reading`: a name that is not there is an answer, not a failure. */
export function translateFileError(operation: string, key: string, error: unknown, reading: boolean): unknown {
  if (isPgarkError(error)) return error;
  if (error instanceof Error && error.name === "AbortError") {
    return new PgarkError("aborted", "stopped", { operation, object: key, cause: error });
  }
  const errno = errnoOf(error) ?? "";
  // ENOTDIR: a file lies where the key has a folder. EISDIR: the key names a folder. No such object either way.
  if (reading && ["ENOENT", "ENOTDIR", "EISDIR"].includes(errno)) {
    return new PgarkError("not-found", "no such object", { operation, object: key, cause: error });
  }
  if (!reading && errno === "EEXIST") {
    return new PgarkError("exists", "the object exists already", { operation, object: key, cause: error });
  }
  // ENOENT while writing: the directory went away under us, as when a disk is unmounted.
  if (["EIO", "ESTALE", "ETIMEDOUT", "EHOSTDOWN", "ENXIO", "ENODEV", "ENOTCONN", "ENOENT"].includes(errno)) {
    return new PgarkError("unavailable", error instanceof Error ? error.message : "input/output error", {
      operation,
      object: key,
      cause: error,
      hint: "the file system that holds the repository does not answer properly: check the mount",
    });
  }
  return ioError(operation, key, error);
}
