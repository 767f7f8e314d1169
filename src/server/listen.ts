/** Listening, upgrades and the end of it all (protocol reference, sections 1 to 3). */
import { createServer as createHttpServer, type IncomingMessage } from "node:http";
import type { Buffer } from "node:buffer";
import type { Duplex } from "node:stream";
import { WebSocketServer } from "ws";
import { MAX_MESSAGE_BYTES } from "../protocol/limits.ts";
import { type ListenAddress, urlOf } from "./address.ts";
import { type Auth, SUBPROTOCOL } from "./auth.ts";
import { serveConnection } from "./connection.ts";
import { answer, rawResponse, refuse } from "./http_rules.ts";
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
export async function listen(server: Server, address: ListenAddress, auth: Auth): Promise<Listening> {
  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: MAX_MESSAGE_BYTES,
    perMessageDeflate: false,
    clientTracking: false,
    // The one with a token is never sent back.
    handleProtocols: (offered) => offered.has(SUBPROTOCOL) && SUBPROTOCOL,
  });
  sockets.on("headers", (headers) => headers.push(`Date: ${new Date().toUTCString()}`));
  const http = createHttpServer(answer);
  const upgrade = async (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    const peer = peerOf(request);
    const refusal = refuse(request) ?? await auth.check(request);
    if (refusal) {
      server.log("info", "connection refused", { peer, status: refusal.status, reason: refusal.body ?? "" });
      return void socket.end(rawResponse(refusal));
    }
    sockets.handleUpgrade(request, socket, head, (client) => {
      server.log("debug", "connection opened", { peer });
      serveConnection(server, client, peer);
    });
  };
  http.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on("error", () => {}); // a peer that resets during the upgrade must not end the server
    upgrade(request, socket, head).catch((error: unknown) => {
      server.log("error", "upgrade failed unexpectedly", { error: String(error) });
      socket.destroy();
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
      // Files first: those in a sandbox are closed by its helper.
      const helpersGone = server.fileHandles.close().then(() => server.sandboxedFiles.close());
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
