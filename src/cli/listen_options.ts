/** The options of `serve` that say where to listen, and to whom. */
import { accessRules, type HostName, isOrigin, parseHost } from "../server/access.ts";
import { isLocal, isWildcard, type ListenAddress, parseListen } from "../server/address.ts";
import type { ListenOptions } from "../server/listen.ts";
import { loadTls, type TlsFiles } from "../server/tls.ts";
import { UsageError } from "./exit.ts";
import { listOption, type Options, switchOption, textOption } from "./options.ts";

/** Where `serve` listens when nothing is said. */
const DEFAULT_LISTEN = "ws://127.0.0.1:0";

/**
 * Reads them.
 * @throws ExecServerError `INVALID_REQUEST` for an address that is none
 * @throws UsageError for options that do not fit each other, or would let others in unprotected
 */
export function listenOptions(options: Options): ListenOptions {
  const given = textOption(options, "listen") ?? DEFAULT_LISTEN;
  const address = parseListen(given);
  const tls = tlsFiles(options, address);
  if (!isLocal(address) && tls === undefined && !switchOption(options, "insecure")) {
    throw new UsageError(
      `--listen ${given} can be reached from other machines, and nothing is encrypted: use wss://… with --tls-cert ` +
        "and --tls-key, or a loopback address behind ssh or a proxy; --insecure listens there all the same",
    );
  }
  const hosts = listOption(options, "allow-host").map(hostOption);
  if ("path" in address && hosts.length > 0) {
    throw new UsageError("--allow-host has no meaning with a Unix socket: Host is not looked at there");
  }
  if (isWildcard(address) && hosts.length === 0) {
    throw new UsageError(
      `--listen ${given} is every address of this machine: say with --allow-host NAME by which name or address ` +
        "clients reach it; may be repeated",
    );
  }
  const origins = listOption(options, "allow-origin").map(originOption);
  return { address, tls: tls && loadTls(tls), access: accessRules(address, origins, hosts) };
}

function tlsFiles(options: Options, address: ListenAddress): TlsFiles | undefined {
  const cert = textOption(options, "tls-cert");
  const key = textOption(options, "tls-key");
  const clientCa = textOption(options, "tls-client-ca");
  if ("path" in address || !address.tls) {
    if (cert ?? key ?? clientCa) {
      throw new UsageError("--tls-cert, --tls-key and --tls-client-ca need --listen wss://IP:PORT");
    }
    return undefined;
  }
  if (!cert || !key) throw new UsageError("--listen wss://… needs --tls-cert FILE and --tls-key FILE");
  return { cert, key, clientCa };
}

function hostOption(value: string): HostName {
  const host = parseHost(value);
  if (host === undefined) {
    throw new UsageError(`invalid value '${value}' for '--allow-host': expected NAME or NAME:PORT`);
  }
  return host;
}

function originOption(value: string): string {
  if (isOrigin(value)) return value;
  throw new UsageError(
    `invalid value '${value}' for '--allow-origin': expected what browsers send, such as https://ide.example or ` +
      "https://ide.example:8443: lower case, no path, no port that the scheme has anyway; not null, not *",
  );
}
