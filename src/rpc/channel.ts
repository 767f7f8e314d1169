/** One WebSocket as a channel of text messages with backpressure, for both ends of the wire. */
import type { WebSocket } from "ws";
import { MAX_FRAME_BYTES, SOCKET_HIGH_WATER_BYTES } from "../protocol/limits.ts";
import { isFrame } from "./frame.ts";

/** Close codes that this project sends (RFC 6455, section 7.4; 4000 and above are ours). */
export const CloseCode = {
  normal: 1000,
  goingAway: 1001,
  protocolViolation: 1008,
  takenOver: 4001,
} as const;

/** What a channel tells its owner. */
export interface ChannelEvents {
  /** A message; undefined when it was not valid UTF-8. */
  message(text: string | undefined): void;
  /** A binary message that is no JSON; without this it counts as JSON that cannot be read. */
  frame?(message: Uint8Array): void;
  /** A pong came back; the text of the ping. */
  pong(payload: string): void;
  /** The connection is gone; called once. */
  closed(code: number, reason: string): void;
}

/** A connection that carries text messages. */
export interface Channel {
  /** Hands a message to the socket; dropped when the connection is gone. */
  send(text: string): void;
  /** Hands a binary message to the socket, at most {@link MAX_FRAME_BYTES}; dropped when the connection is gone. */
  sendFrame(message: Uint8Array): void;
  /** True while more than 1 MiB waits for the socket: stop producing until {@link onDrain}. */
  readonly congested: boolean;
  /** True while so much waits that even small answers must stop: the peer asks and does not read. */
  readonly flooded: boolean;
  /** Calls back once, when the socket has room again (not when it closes). */
  onDrain(action: () => void): void;
  /** Sends a ping behind everything that was sent before. */
  ping(payload: string): void;
  /** Stops and resumes the reading of the socket, so that TCP holds back the peer. */
  pause(): void;
  resume(): void;
  /** Sends a close frame, and cuts the connection if the peer does not answer it. */
  close(code: number, reason: string): void;
}

/** Outgoing bytes at which a peer is not listened to any more. */
const FLOOD_BYTES = 8 * SOCKET_HIGH_WATER_BYTES;
/** How often a connection is looked after, in ms. */
const HEARTBEAT_MS = 2_500;
/** How often a peer is pinged, in ms: proxies cut idle connections after a minute. */
const PING_INTERVAL_MS = 15_000;
/** Silence after which a peer is given up, in ms. */
const PEER_TIMEOUT_MS = 45_000;
/** How long a peer may take to answer a close frame, in ms. */
const CLOSE_TIMEOUT_MS = 2_000;

/** Wraps an open WebSocket. */
export function socketChannel(socket: WebSocket, events: ChannelEvents): Channel {
  let backlog = 0;
  let drainers: (() => void)[] = [];
  let open = true;

  let lastSign = performance.now();
  let lastPing = lastSign;
  const alive = () => void (lastSign = performance.now());
  // A peer that vanished without a word is found whatever TCP thinks. Bytes that drain are a sign of life too.
  const heartbeat = setInterval(() => {
    const now = performance.now();
    if (now - lastSign >= PEER_TIMEOUT_MS) return socket.terminate();
    if (now - lastPing < PING_INTERVAL_MS) return;
    lastPing = now;
    if (socket.readyState === socket.OPEN) socket.ping();
  }, HEARTBEAT_MS);
  heartbeat.unref();

  const sent = (bytes: number) => {
    alive();
    backlog -= bytes;
    if (backlog >= SOCKET_HIGH_WATER_BYTES || drainers.length === 0 || !open) return;
    const actions = drainers;
    drainers = [];
    for (const action of actions) action();
  };

  const send = (data: string | Uint8Array, bytes: number, fin: boolean, binary = false) => {
    backlog += bytes;
    socket.send(data, { binary, fin }, () => sent(bytes));
  };

  socket.binaryType = "nodebuffer";
  socket.on("message", (data, isBinary) => {
    alive();
    if (!open) return;
    const bytes = bytesOf(data);
    if (isBinary && bytes && events.frame && isFrame(bytes)) return events.frame(bytes);
    events.message(bytes && decode(bytes, isBinary));
  });
  socket.on("pong", (payload) => {
    alive();
    if (open && payload.length > 0) events.pong(payload.toString());
  });
  socket.on("ping", alive);
  socket.on("error", () => {}); // always followed by `close`; without a listener it would end the program
  socket.on("close", (code, reason) => {
    if (!open) return;
    open = false;
    drainers = [];
    clearInterval(heartbeat);
    events.closed(code, reason.toString());
  });

  return {
    send(text) {
      if (!open || socket.readyState !== socket.OPEN) return;
      // The cheap test first: a character is at most three bytes of UTF-8.
      if (text.length * 3 <= MAX_FRAME_BYTES) return send(text, text.length, true);
      const bytes = Buffer.from(text);
      for (let offset = 0; offset < bytes.length; offset += MAX_FRAME_BYTES) {
        const piece = bytes.subarray(offset, offset + MAX_FRAME_BYTES);
        send(piece, piece.length, offset + MAX_FRAME_BYTES >= bytes.length);
      }
    },
    sendFrame(message) {
      if (open && socket.readyState === socket.OPEN) send(message, message.length, true, true);
    },
    get congested() {
      return backlog >= SOCKET_HIGH_WATER_BYTES;
    },
    get flooded() {
      return backlog >= FLOOD_BYTES;
    },
    onDrain: (action) => void drainers.push(action),
    ping(payload) {
      if (open && socket.readyState === socket.OPEN) socket.ping(payload);
    },
    pause: () => socket.pause(),
    resume: () => socket.resume(),
    close(code, reason) {
      if (socket.isPaused) socket.resume(); // the peer's close frame must be read
      socket.close(code, reason);
      const timer = setTimeout(() => socket.terminate(), CLOSE_TIMEOUT_MS);
      socket.once("close", () => clearTimeout(timer));
    },
  };
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function bytesOf(data: unknown): Uint8Array | undefined {
  const bytes = Array.isArray(data) ? Buffer.concat(data) : data;
  return bytes instanceof Uint8Array ? bytes : undefined;
}

/** Text frames were checked by the WebSocket library; binary frames may carry JSON too and are checked here. */
function decode(bytes: Uint8Array, isBinary: boolean): string | undefined {
  if (!isBinary) return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8");
  try {
    return utf8.decode(bytes);
  } catch {
    return undefined;
  }
}
