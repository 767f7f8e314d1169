/** Who may come in: open sockets are counted, and a request that does not come is not waited for. */
import type { Server as HttpServer } from "node:http";
import type { Socket } from "node:net";
import type { Refusal } from "./refusal.ts";
import { type Limits, MAX_UNFINISHED_REQUESTS } from "./limits.ts";

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

/** Looks after the sockets of an HTTP server from their first moment. */
export function createGate(http: HttpServer, limits: Limits, connections: ReadonlySet<unknown>): Gate {
  /** Sockets without a complete request, and when each is given up; the oldest is the first. */
  const unfinished = new Map<unknown, { readonly socket: Socket; readonly until: number }>();
  // Ours as well as the runtime's own: not every runtime has both.
  http.headersTimeout = http.requestTimeout = limits.handshakeMs;
  http.on("connection", (socket: Socket) => {
    unfinished.set(socket, { socket, until: performance.now() + limits.handshakeMs });
    socket.once("close", () => unfinished.delete(socket));
    const most = Math.max(0, limits.connections - connections.size) + MAX_UNFINISHED_REQUESTS;
    // A newcomer may be honest; what has been waited for the longest is not.
    const [oldest] = unfinished.values();
    if (unfinished.size > most) oldest?.socket.destroy();
  });
  const looking = setInterval(() => {
    const now = performance.now();
    for (const { socket, until } of unfinished.values()) {
      if (until > now) return;
      socket.destroy();
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
