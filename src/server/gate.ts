/** Who may come in: open sockets are counted, and a request that does not come is not waited for. */
import type { Server as HttpServer } from "node:http";
import type { Socket } from "node:net";
import { hasCode } from "../protocol/error.ts";
import type { Refusal } from "./refusal.ts";
import { type Limits, MAX_UNFINISHED_REQUESTS } from "./limits.ts";
import { peerOf } from "./peer.ts";

/** How often sockets without a finished request are looked for, as a share of the time they have. */
const LOOKS = 10;

/** The counted sockets of a server. */
export interface Gate {
  /** The refusal of one more connection; undefined while there is room. */
  full(): Refusal | undefined;
  /** The request of this socket is complete: the gate has nothing more to do with it. */
  passed(socket: unknown): void;
  /** Ends the looking. */
  close(): void;
}

/** Told of a socket that gets no connection, and why. */
export type SocketRefused = (peer: string, reason: string) => void;

/** A socket without a complete request. */
interface Unfinished {
  readonly socket: Socket;
  readonly peer: string;
  /** When it is given up. */
  readonly until: number;
}

/** Looks after the sockets of an HTTP server from their first moment. */
export function createGate(
  http: HttpServer,
  limits: Limits,
  connections: ReadonlySet<unknown>,
  refused: SocketRefused,
): Gate {
  /** The oldest is the first. */
  const unfinished = new Map<unknown, Unfinished>();
  const cut = ({ socket, peer }: Unfinished, reason: string) => {
    unfinished.delete(socket); // else it may be cut, and told of, twice before it is closed
    refused(peer, reason);
    socket.destroy();
  };
  // Ours as well as the runtime's own: not every runtime has both.
  http.headersTimeout = http.requestTimeout = limits.handshakeMs;
  http.on("connection", (socket: Socket) => {
    const peer = peerOf(socket);
    unfinished.set(socket, { socket, peer, until: performance.now() + limits.handshakeMs });
    socket.once("close", () => unfinished.delete(socket));
    // The runtime has answered it with 400 or 431.
    socket.on("error", (error) => {
      if (unfinished.has(socket) && hasCode(error) && error.code.startsWith("HPE_")) {
        refused(peer, `no HTTP request (${error.code})`);
      }
    });
    const most = Math.max(0, limits.connections - connections.size) + MAX_UNFINISHED_REQUESTS;
    // A newcomer may be honest; what has been waited for the longest is not.
    const [oldest] = unfinished.values();
    if (oldest && unfinished.size > most) cut(oldest, "too many sockets without a request");
  });
  const looking = setInterval(() => {
    const now = performance.now();
    for (const one of unfinished.values()) {
      if (one.until > now) return;
      cut(one, `no request within ${limits.handshakeMs / 1000} s (--handshake-timeout)`);
    }
  }, Math.ceil(limits.handshakeMs / LOOKS));
  looking.unref();
  return {
    full() {
      if (connections.size < limits.connections) return undefined;
      const body = `this server has ${limits.connections} connections already: try again later, or raise ` +
        "--max-connections";
      return { status: 503, reason: "Service Unavailable", headers: { "retry-after": "1" }, body };
    },
    passed: (socket) => void unfinished.delete(socket),
    close: () => clearInterval(looking),
  };
}
