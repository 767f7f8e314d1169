/** Where a server listens, and its URL. */
import type { AddressInfo } from "node:net";
import { ExecServerError } from "../protocol/error.ts";
import { clip } from "../protocol/quote.ts";

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
