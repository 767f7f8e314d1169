/** Stands between the client and the server: writes down every message, and can cut the connection. */
import { createServer, Socket } from "node:net";
import { messageReader } from "./frames.ts";
import { listenOnLoopback } from "./loopback.ts";
import { parseWireMessage, type WireMessage } from "./wire_message.ts";

/** How a connection ends. */
export interface Cut {
  /** New connections are reset for so long. */
  readonly outageMs?: number;
  /** The server's side stays open and silent, as if the network had gone without a word. */
  readonly isServerUnaware?: boolean;
}

/** A running proxy. */
export interface Proxy {
  /** `ws://127.0.0.1:PORT`. */
  readonly url: string;
  /** Every message, in the order in which it came by. */
  readonly messages: readonly WireMessage[];
  /** Resets the connection once, when the test holds; that message and what follows it is lost. */
  cutWhen(test: (message: WireMessage) => boolean, cut?: Cut): void;
  close(): Promise<void>;
}

/** Starts a proxy on loopback for the server at `ws://HOST:PORT`. */
export async function startProxy(target: string): Promise<Proxy> {
  const { hostname, port, pathname, search } = new URL(target);
  const sockets = new Set<Socket>();
  const messages: WireMessage[] = [];
  let plan: { readonly test: (message: WireMessage) => boolean; readonly cut: Cut } | undefined;
  let downUntil = 0;

  const keep = (socket: Socket) => {
    sockets.add(socket);
    socket.setNoDelay(true);
    socket.on("error", () => {}); // `close` follows
    socket.on("close", () => sockets.delete(socket));
  };

  const link = (client: Socket, server: Socket) => {
    let isCut = false;
    const carryOut = ({ outageMs = 0, isServerUnaware = false }: Cut) => {
      isCut = true;
      downUntil = performance.now() + outageMs;
      client.resetAndDestroy();
      if (!isServerUnaware) server.resetAndDestroy();
    };
    const forward = (from: WireMessage["from"], source: Socket, sink: Socket) => {
      const read = messageReader((text) => {
        if (isCut) return;
        const message = parseWireMessage(from, text);
        if (!plan?.test(message)) return void messages.push(message);
        const { cut } = plan;
        plan = undefined;
        carryOut(cut);
      });
      source.on("data", (bytes) => {
        if (isCut) return;
        read(bytes);
        if (!isCut && !sink.write(bytes)) source.pause();
      });
      sink.on("drain", () => source.resume());
      source.on("close", () => isCut || sink.destroy());
    };
    forward("client", client, server);
    forward("server", server, client);
  };

  const listener = createServer((client) => {
    keep(client);
    if (performance.now() < downUntil) return void client.resetAndDestroy();
    const server = new Socket();
    keep(server);
    link(client, server);
    server.connect(Number(port), hostname);
  });
  const ownPort = await listenOnLoopback(listener);
  return {
    url: `ws://127.0.0.1:${ownPort}${pathname}${search}`,
    messages,
    cutWhen(test, cut = {}) {
      plan = { test, cut };
    },
    async close() {
      const closed = new Promise((ok) => listener.close(ok));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
