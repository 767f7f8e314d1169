/** Listening, upgrades and the end of it all (protocol reference, sections 1 to 3). */
import { createServer as createHttpServer, type IncomingMessage, STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";
import { WebSocketServer } from "ws";
import { MAX_MESSAGE_BYTES } from "../protocol/limits.ts";
import { type ListenAddress, urlOf } from "./address.ts";
import { serveConnection } from "./connection.ts";
import { answer, rawResponse, type Refusal, refuse } from "./http_rules.ts";
import type { Server } from "./server.ts";

/** How long open connections may take to close at a shutdown, in ms. */
const SHUTDOWN_GRACE_MS = 1_000;

/** A server that listens. */
export interface Listening {
  /** `ws://127.0.0.1:41234`. */
  readonly url: string;
  /** Stops accepting, closes connections with code 1001, ends all sessions and their processes. */
  close(): Promise<void>;
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
  const audited = (request: IncomingMessage, { status, reason }: Pick<Refusal, "status" | "reason">) =>
    server.audit.refused({ event: "connection.refused", peer: peerOf(request), status, reason });
  const http = createHttpServer((request, response) => {
    answer(request, response);
    if (response.statusCode >= 400) {
      audited(request, { status: response.statusCode, reason: STATUS_CODES[response.statusCode] ?? "" });
    }
  });
  http.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on("error", () => {}); // a peer that resets during the upgrade must not end the server
    const refusal = refuse(request);
    if (refusal) {
      audited(request, refusal);
      return void socket.end(rawResponse(refusal));
    }
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

function peerOf(request: IncomingMessage): string {
  const { remoteAddress = "unknown", remotePort = 0 } = request.socket;
  return remoteAddress.includes(":") ? `[${remoteAddress}]:${remotePort}` : `${remoteAddress}:${remotePort}`;
}
