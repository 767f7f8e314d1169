/** A TCP proxy that breaks connections on purpose: cuts, stalls, delays, drips, and peers that vanish. */
import type { Buffer } from "node:buffer";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** `up` is from the client to the server, `down` from the server to the client. */
export type Direction = "up" | "down";

/** A running proxy. Every fault but {@link Proxy.blackhole} and the cuts also holds for later connections. */
export interface Proxy {
  /** What clients connect to. */
  readonly url: string;
  /** Connections that are open now; those in a black hole count. */
  readonly connections: number;
  /** Connections ever accepted. */
  readonly accepted: number;
  /** Resets both sides of every connection (RST): what was on its way is lost. */
  cut(): void;
  /** Ends both sides of every connection (FIN), after what was forwarded. */
  close(): void;
  /** Forwards nothing in a direction until {@link Proxy.resume}; TCP holds the sender back. */
  stall(direction: Direction | "both"): void;
  /** Ends stalls, delays and drips. */
  resume(): void;
  /** Holds every piece for so long before it is forwarded. */
  delay(ms: number): void;
  /** Forwards at most so many bytes in one write, and yields in between. */
  drip(bytesPerWrite: number): void;
  /**
   * Breaks every connection exactly so many forwarded bytes from now, whether or not a frame ends there.
   * @param how as {@link Proxy.cut} or as {@link Proxy.close}
   * @returns resolves when it has happened; never when another `cutAfter` for the direction came before
   */
  cutAfter(bytes: number, direction: Direction, how?: "cut" | "close"): Promise<void>;
  /** The peers of the present connections vanish without FIN: nothing is forwarded, both sockets stay open. */
  blackhole(): void;
  /** Resets the connections that are in a black hole. */
  bury(): void;
  /** Refuses new connections (true), or takes them again. */
  refuse(refused: boolean): void;
  /** Breaks everything and stops listening. */
  stop(): Promise<void>;
}

interface Pair {
  readonly client: Socket;
  readonly server: Socket;
  vanished: boolean;
}

interface Trap {
  left: number;
  readonly how: "cut" | "close";
  readonly sprung: () => void;
}

/** Starts a proxy on a free port of the loopback in front of a `ws://` URL. */
export async function startProxy(targetUrl: string): Promise<Proxy> {
  const target = new URL(targetUrl);
  const pairs = new Set<Pair>();
  const traps = new Map<Direction, Trap>();
  const stalled = new Set<Direction>();
  let release: (() => void)[] = [];
  let delayMs = 0;
  let dripBytes = Infinity;
  let accepted = 0;
  let refused = false;
  let stopping = false;

  const reset = ({ client, server }: Pair) => {
    client.resetAndDestroy();
    server.resetAndDestroy();
  };
  const cut = () => {
    for (const pair of pairs) if (!pair.vanished) reset(pair);
  };
  const close = () => {
    for (const { client, server, vanished } of pairs) {
      if (vanished) continue;
      client.destroySoon();
      server.destroySoon();
    }
  };

  const forward = async (pair: Pair, direction: Direction) => {
    const [from, to] = direction === "up" ? [pair.client, pair.server] : [pair.server, pair.client];
    try {
      for await (const data of from.iterator({ destroyOnReturn: false })) {
        let rest: Buffer = data;
        if (delayMs > 0) await new Promise((wake) => setTimeout(wake, delayMs));
        while (rest.length > 0) {
          while (stalled.has(direction) && !stopping) await new Promise<void>((wake) => release.push(wake));
          if (pair.vanished) break; // read and forgotten, like a host that is gone
          if (to.destroyed) return;
          const trap = traps.get(direction);
          const piece = rest.subarray(0, Math.min(dripBytes, trap?.left ?? Infinity));
          rest = rest.subarray(piece.length);
          if (!to.write(piece)) await drained(to);
          if (Number.isFinite(dripBytes)) await new Promise((wake) => setImmediate(wake));
          if (!trap || (trap.left -= piece.length) > 0) continue;
          traps.delete(direction);
          if (trap.how === "cut") cut();
          else close();
          trap.sprung();
          return;
        }
      }
      if (!pair.vanished) to.end();
    } catch {
      if (!pair.vanished) reset(pair); // one side was reset: so is the other
    }
  };

  const listener = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    accepted++;
    if (refused) return void client.resetAndDestroy();
    const server = connect({
      host: target.hostname,
      port: Number(target.port),
      allowHalfOpen: true,
      noDelay: true,
    });
    const pair: Pair = { client, server, vanished: false };
    pairs.add(pair);
    for (const socket of [client, server]) {
      socket.on("error", () => {}); // `forward` sees it too
      socket.once("close", () => {
        if (client.destroyed && server.destroyed) pairs.delete(pair);
      });
    }
    void forward(pair, "up");
    void forward(pair, "down");
  });
  await new Promise<void>((ok, fail) => {
    listener.once("error", fail);
    listener.listen(0, "127.0.0.1", ok);
  });
  const { port } = addressOf(listener.address());

  const wake = () => {
    const waiting = release;
    release = [];
    for (const go of waiting) go();
  };
  return {
    url: `ws://127.0.0.1:${port}${target.pathname}${target.search}`,
    get connections() {
      return pairs.size;
    },
    get accepted() {
      return accepted;
    },
    cut,
    close,
    stall(direction) {
      for (const each of ["up", "down"] as const) {
        if (direction === each || direction === "both") stalled.add(each);
      }
    },
    resume() {
      stalled.clear();
      delayMs = 0;
      dripBytes = Infinity;
      wake();
    },
    delay: (ms) => void (delayMs = ms),
    drip: (bytesPerWrite) => void (dripBytes = bytesPerWrite),
    cutAfter: (bytes, direction, how = "cut") =>
      new Promise((sprung) => traps.set(direction, { left: Math.max(1, bytes), how, sprung })),
    blackhole() {
      for (const pair of pairs) pair.vanished = true;
    },
    bury() {
      for (const pair of pairs) if (pair.vanished) reset(pair);
    },
    refuse: (now) => void (refused = now),
    async stop() {
      stopping = true;
      traps.clear();
      wake();
      const closed = new Promise<void>((ok) => listener.close(() => ok()));
      for (const pair of pairs) reset(pair);
      await closed;
    },
  };
}

/** Resolves when the socket takes more, or never will. */
function drained(socket: Socket): Promise<void> {
  return new Promise((ok) => {
    const done = () => {
      socket.off("drain", done);
      socket.off("close", done);
      ok();
    };
    socket.on("drain", done);
    socket.on("close", done);
    if (socket.destroyed) done();
  });
}

function addressOf(address: AddressInfo | string | null): AddressInfo {
  if (address === null || typeof address === "string") throw new Error("a TCP listener has a port");
  return address;
}
