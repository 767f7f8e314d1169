/** Listening, upgrades and the end of it all (protocol reference, sections 1 to 3). */
import { Buffer } from "node:buffer";
import { createServer as createHttpServer, type IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { WebSocketServer } from "ws";
import { type ListenAddress, urlOf } from "./address.ts";
import { serveConnection } from "./connection.ts";
import { createGate } from "./gate.ts";
import { answer, rawResponse, refuse } from "./http_rules.ts";
import type { Server } from "./server.ts";

/**
 * An empty pong, put before everything that a client sends. Bun hands a connection whose client has sent something
 * already to its stream transport. That is what we want: of the other one nobody can tell how much of a message is in
 * memory before it is complete. To the other runtimes it is a frame that means nothing (RFC 6455, section 5.5.3).
 */
const EMPTY_PONG = Buffer.from([0x8a, 0x80, 0, 0, 0, 0]);
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
    maxPayload: server.options.limits.messageBytes,
    perMessageDeflate: false,
    autoPong: false,
    clientTracking: false,
  });
  sockets.on("headers", (headers) => headers.push(`Date: ${new Date().toUTCString()}`));
  const http = createHttpServer(answer);
  const gate = createGate(http, server.options.limits, server.connections);
  http.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on("error", () => {}); // a peer that resets during the upgrade must not end the server
    gate.passed(socket);
    const refusal = refuse(request) ?? gate.full();
    if (refusal) return void socket.end(rawResponse(refusal));
    const peer = peerOf(request);
    sockets.handleUpgrade(request, socket, head.length > 0 ? head : EMPTY_PONG, (client) => {
      server.log("debug", "connection opened", { peer });
      serveConnection(server, client, peer, () => bytesReadOf(socket));
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
      gate.close();
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

/** A socket of an upgrade is declared as any stream. */
function bytesReadOf(socket: Duplex): number {
  return "bytesRead" in socket && typeof socket.bytesRead === "number" ? socket.bytesRead : 0;
}

function peerOf(request: IncomingMessage): string {
  const { remoteAddress = "unknown", remotePort = 0 } = request.socket;
  return remoteAddress.includes(":") ? `[${remoteAddress}]:${remotePort}` : `${remoteAddress}:${remotePort}`;
}
