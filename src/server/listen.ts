/** Listening, upgrades and the end of it all (protocol reference, sections 1 to 3). */
import { Buffer } from "node:buffer";
import { createServer as createHttpServer, type IncomingMessage, STATUS_CODES } from "node:http";
import type { Server as NetServer } from "node:net";
import type { Duplex } from "node:stream";
import { WebSocketServer } from "ws";
import { messageOf } from "../protocol/error.ts";
import type { AccessRules } from "./access.ts";
import { type ListenAddress, urlOf } from "./address.ts";
import { type Auth, SUBPROTOCOL } from "./auth.ts";
import { serveConnection } from "./connection.ts";
import { createGate, type SocketRefused } from "./gate.ts";
import { answer, rawResponse, refuse } from "./http_rules.ts";
import { peerOf } from "./peer.ts";
import type { Refusal } from "./refusal.ts";
import type { Server } from "./server.ts";
import { type LoadedTls, type TlsFront, tlsFront } from "./tls.ts";
import { clearStaleSocket, listenPrivately, makingPath, nameSocket } from "./unix_socket.ts";

/**
 * An empty pong, put before everything that a client sends, with `--bound-incoming`. Bun hands a connection whose client
 * has sent something already to its stream transport: of the other one, which is a fifth faster, nobody can tell how
 * much of a message is in memory before it is complete. To the other runtimes it is a frame that means nothing (RFC
 * 6455, section 5.5.3).
 */
const EMPTY_PONG = Buffer.from([0x8a, 0x80, 0, 0, 0, 0]);
/** How long open connections may take to close at a shutdown, in ms. */
const SHUTDOWN_GRACE_MS = 1_000;

/** Where to listen, and to whom. */
export interface ListenOptions {
  readonly address: ListenAddress;
  readonly access: AccessRules;
  /** For `wss://`. */
  readonly tls: LoadedTls | undefined;
}

/** A server that listens. */
export interface Listening {
  /** `ws://127.0.0.1:41234`, `wss://…` or `unix:/path`. */
  readonly url: string;
  /** Takes the certificate from its files again, for connections that come later. Only with TLS. */
  readonly reloadCertificate: (() => void) | undefined;
  /** Stops accepting, closes connections with code 1001, ends all sessions and their processes. */
  close(): Promise<void>;
}

/**
 * Starts to listen.
 * @throws the system's error (`EADDRINUSE`, `EADDRNOTAVAIL`, `EACCES`), ExecServerError for a socket's path that is
 * taken and for certificates that cannot be used
 */
export async function listen(
  server: Server,
  { address, access, tls }: ListenOptions,
  auth: Auth,
): Promise<Listening> {
  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: server.options.limits.messageBytes,
    perMessageDeflate: false,
    autoPong: false,
    clientTracking: false,
    // The one with a token is never sent back.
    handleProtocols: (offered) => offered.has(SUBPROTOCOL) && SUBPROTOCOL,
  });
  sockets.on("headers", (headers) => headers.push(`Date: ${new Date().toUTCString()}`));
  const audited = (request: IncomingMessage, { status, reason }: Pick<Refusal, "status" | "reason">) =>
    server.audit.refused({ event: "connection.refused", peer: peerOf(request.socket), status, reason });
  const socketRefused: SocketRefused = (peer, reason) => {
    server.audit.refused({ event: "socket.refused", peer, reason });
    server.log("debug", "socket refused", { peer, reason });
  };
  // Without the option a request without Host gets the library's refusal, not ours.
  const http = createHttpServer({ requireHostHeader: false }, (request, response) => {
    answer(request, response, access);
    const { statusCode } = response;
    if (statusCode >= 400) audited(request, { status: statusCode, reason: STATUS_CODES[statusCode] ?? "" });
  });
  const isBounded = server.options.limits.boundIncoming;
  const gate = createGate(http, server.options.limits, server.connections, socketRefused);
  const upgrade = async (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    gate.passed(socket);
    const peer = peerOf(request.socket);
    const refusal = refuse(request, access) ?? await auth.check(request) ?? gate.full();
    if (refusal) {
      audited(request, refusal);
      server.log("info", "connection refused", { peer, status: refusal.status, reason: refusal.body ?? "" });
      return void socket.end(rawResponse(refusal));
    }
    sockets.handleUpgrade(request, socket, isBounded && head.length === 0 ? EMPTY_PONG : head, (client) => {
      server.log("debug", "connection opened", { peer });
      serveConnection(server, client, peer, () => bytesReadOf(socket));
    });
  };
  http.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on("error", () => {}); // a peer that resets during the upgrade must not end the server
    upgrade(request, socket, head).catch((error: unknown) => {
      server.log("error", "upgrade failed unexpectedly", { error: String(error) });
      socket.destroy();
    });
  });
  const front = tls === undefined ? undefined : tlsFront(http, tls, socketRefused);
  const listener = front?.server ?? http;
  const removeSocket = await begin(listener, address);
  return {
    url: urlOf(address, listener.address()),
    reloadCertificate: front && (() => reload(server, front)),
    async close() {
      removeSocket();
      listener.close();
      gate.close();
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
      front?.cut();
    },
  };
}

/** @returns removes what is left of it in the file system */
async function begin(listener: NetServer, address: ListenAddress): Promise<() => void> {
  if (!("path" in address)) {
    await listening(listener, () => listener.listen(address.port, address.host));
    return () => {};
  }
  await clearStaleSocket(address.path);
  const making = makingPath(address.path);
  await listening(listener, () => listenPrivately(listener, making));
  try {
    return nameSocket(making, address.path);
  } catch (error) {
    listener.close();
    throw error;
  }
}

function listening(listener: NetServer, start: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    listener.once("error", reject);
    listener.once("listening", () => {
      listener.off("error", reject);
      resolve();
    });
    start();
  });
}

function reload(server: Server, front: TlsFront): void {
  try {
    front.reload();
    server.log("info", "certificate reloaded");
  } catch (error) {
    server.log("error", "the certificate was not reloaded and the old one is kept", {
      error: messageOf(error),
    });
  }
}

/** A socket of an upgrade is declared as any stream. */
function bytesReadOf(socket: Duplex): number {
  return "bytesRead" in socket && typeof socket.bytesRead === "number" ? socket.bytesRead : 0;
}
