/** What `--tls-ca`, `--tls-cert` and `--tls-key` mean for a connection. */
import { readFileSync } from "node:fs";
import process from "node:process";
import type { TlsOptions } from "../client/target.ts";
import { hasCode } from "../protocol/error.ts";
import { osErrorText } from "../protocol/os_error.ts";
import { UsageError } from "./exit.ts";

/** Paths of PEM files, as the command line has them. */
export interface TlsPaths {
  readonly ca: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
}

/**
 * Reads the files; undefined where the URL has nothing to do with TLS.
 * @throws UsageError when the options do not fit, or a file cannot be read
 */
export function readTls(url: string | undefined, { ca, cert, key }: TlsPaths): TlsOptions | undefined {
  if (!url?.startsWith("wss://")) {
    if (ca ?? cert ?? key) throw new UsageError("--tls-ca, --tls-cert and --tls-key need a wss://… URL");
    return undefined;
  }
  if ((cert === undefined) !== (key === undefined)) {
    throw new UsageError("--tls-cert and --tls-key need each other");
  }
  const authority = ca ?? process.env["EXEC_SERVER_TLS_CA"];
  return {
    ...(authority ? { ca: read(authority, ca === undefined ? "EXEC_SERVER_TLS_CA" : "--tls-ca") } : {}),
    ...(cert && key ? { cert: read(cert, "--tls-cert"), key: read(key, "--tls-key") } : {}),
  };
}

function read(path: string, where: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw hasCode(error) ? new UsageError(`${where} ${path}: ${osErrorText(error.code)}`) : error;
  }
}
