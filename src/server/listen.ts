/** The HTTP side: routes, refusals, upgrades, heartbeat (protocol reference, sections 1 to 3). */
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { WebSocketServer } from "ws";
import { ExecServerError } from "../protocol/error.ts";
import { MAX_MESSAGE_BYTES } from "../protocol/limits.ts";
import { clip } from "../protocol/quote.ts";
import { serveConnection } from "./connection.ts";
import type { Server } from "./server.ts";

/** How long open connections may take to close at a shutdown, in ms. */
const SHUTDOWN_GRACE_MS = 1_000;

/** Where to listen. */
export interface ListenAddress {
  readonly host: string;
  /** 0 lets the system choose. */
  readonly port: number;
}

/** A server that listens. */
export interface Listening {
  /** `ws://127.0.0.1:41234`. */
  readonly url: string;
  /** Stops accepting, closes connections with code 1001, ends all sessions and their processes. */
  close(): Promise<void>;
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

/** Starts to listen. @throws the system's error (`EADDRINUSE`, `EADDRNOTAVAIL`, `EACCES`) */
export async function listen(server: Server, address: ListenAddress): Promise<Listening> {
  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: MAX_MESSAGE_BYTES,
    perMessageDeflate: false,
    clientTracking: false,
  });
  sockets.on("headers", (headers) => headers.push(`Date: ${new Date().toUTCString()}`));
  const http = createHttpServer(answer);
  http.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on("error", () => {}); // a peer that resets during the upgrade must not end the server
    const refusal = refuse(request);
    if (refusal) return void socket.end(rawResponse(refusal));
    const peer = peerOf(request);
    sockets.handleUpgrade(request, socket, head, (client) => {
      server.log("debug", "connection opened", { peer });
      serveConnection(server, client, peer);
    });
  });
  await new Promise<void>((resolve, reject) => {
    http.once("error", reject);
    http.listen(address.port, address.host, () => {
      http.off("error", reject);
      resolve();
    });
  });
  return {
    url: urlOf(http.address()),
    async close() {
      http.close();
      for (const closeConnection of server.connections) closeConnection();
      const helpersGone = server.sandboxedFiles.close();
      await server.registry.close({ graceMs: server.options.shutdownGraceMs });
      await helpersGone;
      const deadline = Date.now() + SHUTDOWN_GRACE_MS;
      while (server.connections.size > 0 && Date.now() < deadline) {
        await new Promise((wake) => setTimeout(wake, 5));
      }
      http.closeAllConnections();
    },
  };
}

interface Refusal {
  readonly status: number;
  readonly reason: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** Why a request is not an upgrade that we take; the order of the checks is the wire's. */
function refuse(request: IncomingMessage): Refusal | undefined {
  if (request.headers.origin !== undefined) return { status: 403, reason: "Forbidden" };
  const [path] = (request.url ?? "/").split("?"); // not `new URL`: it throws on `//`
  const method = request.method ?? "GET";
  if (path === "/readyz") {
    return method === "GET" || method === "HEAD"
      ? { status: 200, reason: "OK" }
      : { status: 405, reason: "Method Not Allowed", headers: { allow: "GET,HEAD" } };
  }
  if (path !== "/") return { status: 404, reason: "Not Found" };
  if (method !== "GET") {
    return { status: 405, reason: "Method Not Allowed", body: "Request method must be `GET`" };
  }
  const { connection, upgrade } = request.headers;
  const problem = !/\bupgrade\b/i.test(connection ?? "")
    ? "Connection header did not include 'upgrade'"
    : upgrade?.toLowerCase() !== "websocket"
    ? "`Upgrade` header did not include 'websocket'"
    : request.headers["sec-websocket-version"] !== "13"
    ? "`Sec-WebSocket-Version` header did not include '13'"
    : request.headers["sec-websocket-key"] === undefined
    ? "`Sec-WebSocket-Key` header missing"
    : undefined;
  return problem === undefined ? undefined : { status: 400, reason: "Bad Request", body: problem };
}

function answer(request: IncomingMessage, response: ServerResponse): void {
  const refusal = refuse(request) ??
    { status: 400, reason: "Bad Request", body: "Connection header did not include 'upgrade'" };
  response.writeHead(refusal.status, headersOf(refusal));
  response.end(refusal.body);
}

function headersOf(refusal: Refusal): Record<string, string> {
  const type = refusal.body === undefined ? {} : { "content-type": "text/plain; charset=utf-8" };
  return {
    ...refusal.headers,
    ...type,
    "content-length": String(Buffer.byteLength(refusal.body ?? "")),
    connection: "close",
  };
}

function rawResponse(refusal: Refusal): string {
  const headers = Object.entries({ ...headersOf(refusal), date: new Date().toUTCString() }).map((
    [name, value],
  ) => `${name}: ${value}\r\n`).join("");
  return `HTTP/1.1 ${refusal.status} ${refusal.reason}\r\n${headers}\r\n${refusal.body ?? ""}`;
}

function peerOf(request: IncomingMessage): string {
  const { remoteAddress = "unknown", remotePort = 0 } = request.socket;
  return remoteAddress.includes(":") ? `[${remoteAddress}]:${remotePort}` : `${remoteAddress}:${remotePort}`;
}

function urlOf(address: AddressInfo | string | null): string {
  if (address === null || typeof address === "string") {
    throw new Error("unreachable: a TCP server has an address");
  }
  return address.family === "IPv6"
    ? `ws://[${address.address}]:${address.port}`
    : `ws://${address.address}:${address.port}`;
}
