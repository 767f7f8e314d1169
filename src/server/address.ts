/** Where a server listens, and its URL. */
import { type AddressInfo, isIPv4 } from "node:net";
import { ExecServerError } from "../protocol/error.ts";
import { clip } from "../protocol/quote.ts";
import { unixPathOf } from "../protocol/unix_url.ts";

/** An IP address and a port. */
export interface TcpAddress {
  /** An IP address, without brackets. */
  readonly host: string;
  /** 0 lets the system choose. */
  readonly port: number;
  /** True for `wss://`. */
  readonly tls: boolean;
}

/** A Unix socket. */
export interface UnixAddress {
  /** Its absolute path. */
  readonly path: string;
}

/** Where to listen. */
export type ListenAddress = TcpAddress | UnixAddress;

const TCP = /^(wss?):\/\/(?:(\d{1,3}(?:\.\d{1,3}){3})|\[([0-9A-Fa-f:.]+)\]):(\d{1,5})$/;

/**
 * Reads a `--listen` value: `ws://IP:PORT` or `wss://IP:PORT`, an IP literal and a port, or `unix:PATH`.
 * @throws ExecServerError `INVALID_REQUEST`, for a bad `ws://…` with the reference server's text
 */
export function parseListen(value: string): ListenAddress {
  const path = unixPathOf(value);
  if (path !== undefined) return { path };
  const [, scheme = "", v4, v6, digits] = TCP.exec(value) ?? [];
  const host = v4 ?? v6;
  const port = Number(digits);
  if (
    host !== undefined && port <= 65535 &&
    host.split(".").every((part) => part.includes(":") || Number(part) <= 255)
  ) {
    return { host, port, tls: scheme === "wss" };
  }
  const meant = /^wss?:\/\//.exec(value)?.[0];
  throw new ExecServerError(
    "INVALID_REQUEST",
    meant !== undefined
      ? `invalid websocket --listen URL \`${clip(value)}\`; expected \`${meant}IP:PORT\``
      : `unsupported --listen URL \`${
        clip(value)
      }\`; expected \`ws://IP:PORT\`, \`wss://IP:PORT\` or \`unix:PATH\``,
  );
}

/** True when nobody beyond this machine can reach it: a Unix socket, `127.0.0.0/8`, `::1`. */
export function isLocal(address: ListenAddress): boolean {
  return "path" in address || isLoopbackName(hostName(address));
}

/** True for `0.0.0.0` and `::`, which stand for every address of the machine. */
export function isWildcard(address: ListenAddress): boolean {
  return "host" in address && ["0.0.0.0", "[::]"].includes(hostName(address));
}

/** The address as it stands in a URL and in a `Host` header: IPv6 in brackets and in its shortest form. */
export function hostName({ host }: TcpAddress): string {
  return host.includes(":") ? canonicalName(`[${host}]`) : host;
}

/** A host as browsers and `URL` write it: lower case, IPv6 in its shortest form. Other names stay as they are. */
export function canonicalName(name: string): string {
  const lower = name.toLowerCase();
  return lower.startsWith("[") && URL.canParse(`http://${lower}`)
    ? new URL(`http://${lower}`).hostname
    : lower;
}

/** True for the canonical names of this machine that need no name server: `localhost`, `127.0.0.0/8`, `[::1]`. */
export function isLoopbackName(name: string): boolean {
  return name === "localhost" || name === "[::1]" || (isIPv4(name) && name.startsWith("127."));
}

/** The URL of a server that listens there. @param bound what the system made of it */
export function urlOf(address: ListenAddress, bound: AddressInfo | string | null): string {
  if ("path" in address) return `unix:${address.path}`;
  if (bound === null || typeof bound === "string") {
    throw new Error("unreachable: a TCP server has an address");
  }
  const host = bound.address.includes(":") ? `[${bound.address}]` : bound.address;
  return `${address.tls ? "wss" : "ws"}://${host}:${bound.port}`;
}

/** The same URL with a token in its query. */
export function withToken(url: string, token: string): string {
  return `${url}${url.startsWith("unix:") ? "" : "/"}?token=${encodeURIComponent(token)}`;
}
