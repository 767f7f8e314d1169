/** Where a server listens, and its URL. */
import { type AddressInfo, BlockList } from "node:net";
import { ExecServerError } from "../protocol/error.ts";
import { clip } from "../protocol/quote.ts";

const loopback6 = new BlockList();
loopback6.addAddress("::1", "ipv6");

/** Where to listen. */
export interface ListenAddress {
  readonly host: string;
  /** 0 lets the system choose. */
  readonly port: number;
}

/**
 * Reads a `--listen` value: `ws://IP:PORT`, an IP literal and a port, nothing else.
 * @throws ExecServerError `INVALID_REQUEST` with the reference server's text
 */
export function parseListen(value: string): ListenAddress {
  const match = /^ws:\/\/(?:(\d{1,3}(?:\.\d{1,3}){3})|\[([0-9A-Fa-f:.]+)\]):(\d{1,5})$/.exec(value);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (
    host !== undefined && port <= 65535 &&
    host.split(".").every((part) => part.includes(":") || Number(part) <= 255)
  ) {
    return { host, port };
  }
  throw new ExecServerError(
    "INVALID_REQUEST",
    value.startsWith("ws://")
      ? `invalid websocket --listen URL \`${clip(value)}\`; expected \`ws://IP:PORT\``
      : `unsupported --listen URL \`${clip(value)}\`; expected \`ws://IP:PORT\``,
  );
}

/** The URL of a server that listens there. */
export function urlOf(address: AddressInfo | string | null): string {
  if (address === null || typeof address === "string") {
    throw new Error("unreachable: a TCP server has an address");
  }
  return address.family === "IPv6"
    ? `ws://[${address.address}]:${address.port}`
    : `ws://${address.address}:${address.port}`;
}

/** True for an address that only this machine can reach: 127.0.0.0/8 and ::1 (RFC 1122, RFC 4291). */
export function isLoopback({ host }: ListenAddress): boolean {
  return /^127\./.test(host) || loopback6.check(host, "ipv6");
}

/** The same URL with a token in its query. */
export function withToken(url: string, token: string): string {
  return `${url}/?token=${encodeURIComponent(token)}`;
}
