import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import type { ConnectionOptions as TlsOptions } from "node:tls";
import { ioError } from "../errors.ts";
import { isSocketDirectory } from "./connection-settings.ts";
import type { ConnectionSettings, ConnectionTarget, SslFiles } from "./connection-settings.ts";
import { sqlstateOf } from "./postgres-error.ts";

/** The ways to try, in order; Unix sockets never have TLS. */
export function tlsAttempts(settings: ConnectionSettings, target: ConnectionTarget): readonly (false | TlsOptions)[] {
  if (settings.sslMode === "disable" || (target.address === undefined && isSocketDirectory(target.host)))
    return [false];
  const verified = settings.sslMode === "verify-ca" || settings.sslMode === "verify-full";
  const ssl: TlsOptions = {
    // the certificate must name the host, also when another address is connected to
    ...(target.address === undefined ? {} : { host: target.host }),
    ...(target.address === undefined || isIP(target.host) !== 0 ? {} : { servername: target.host }),
    ...readSslFiles(settings.sslFiles, verified),
    rejectUnauthorized: verified,
    ...(settings.sslMode === "verify-ca" ? { checkServerIdentity: () => undefined } : {}),
  };
  if (settings.sslMode === "allow") return [false, ssl];
  return settings.sslMode === "prefer" ? [ssl, false] : [ssl];
}

function readSslFiles(files: SslFiles, verified: boolean): TlsOptions {
  const { rootCertificate, certificate, key } = files;
  const verifyWithFile = verified && rootCertificate !== undefined && rootCertificate !== "system";
  return {
    ...(verifyWithFile ? { ca: readPem(rootCertificate) } : {}),
    ...(certificate === undefined ? {} : { cert: readPem(certificate) }),
    ...(key === undefined ? {} : { key: readPem(key) }),
  };
}

function readPem(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw ioError("connect to PostgreSQL", path, error);
  }
}

/** Whether the other of TLS and plain may be taken instead: the server speaks no TLS, or pg_hba.conf wants the other. */
export function mayHelpToChangeTls(error: unknown): boolean {
  if (sqlstateOf(error) !== undefined) return sqlstateOf(error) === "28000";
  return error instanceof Error && /SSL|TLS/i.test(error.message);
}
