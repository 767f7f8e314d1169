/** One WebSocket as a channel of text messages with backpressure, for both ends of the wire. */
import type { WebSocket } from "ws";
import { bufferView } from "../protocol/buffer_view.ts";
import { MAX_FRAME_BYTES, MAX_OUTPUT_CHUNK_BYTES, SOCKET_HIGH_WATER_BYTES } from "../protocol/limits.ts";
import { messagePassed } from "../runtime/collect.ts";
import { abilitiesOf } from "../runtime/server_socket.ts";
import { createLoad, FAIR_BYTES, type Load, MAX_OUTGOING_BYTES } from "./load.ts";
import { type Frame, frameBytes, frameInto, frameLength, isFrame } from "./frame.ts";

/** Close codes that this project sends (RFC 6455, section 7.4; 4000 and above are ours). */
export const CloseCode = {
  normal: 1000,
  goingAway: 1001,
  protocolViolation: 1008,
  tooBig: 1009,
  takenOver: 4001,
} as const;

/** The code that the library sends for a frame that it refuses (RFC 6455, section 7.4.1). */
function refusalOf(error: Error): OwnClose | undefined {
  const name = "code" in error && typeof error.code === "string" ? error.code : "";
  if (!name.startsWith("WS_ERR_")) return undefined; // the network's
  const code = { WS_ERR_UNSUPPORTED_MESSAGE_LENGTH: 1009, WS_ERR_INVALID_UTF8: 1007 }[name] ?? 1002;
  return { code, reason: error.message };
}

/** What a channel tells its owner. */
export interface ChannelEvents {
  /** A message; undefined when it was not valid UTF-8. */
  message(text: string | undefined): void;
  /** A binary message that is no JSON; without this it counts as JSON that cannot be read. */
  frame?(message: Uint8Array): void;
  /** A pong came back; the text of the ping. */
  pong(payload: string): void;
  /** The connection is gone; called once. @param own how our end has ended it; absent when it has not */
  closed(code: number, reason: string, own?: OwnClose): void;
}

/** The close code that the peer got, and why. The library reports 1006 when the peer does not answer it. */
export interface OwnClose {
  readonly code: number;
  readonly reason: string;
}

/** A connection that carries text messages. */
export interface Channel {
  /** Hands a message to the socket; dropped when the connection is gone. */
  send(text: string): void;
  /** The same in pieces that are ASCII: together they are not made to one text where the socket need not have it. */
  sendAscii(...pieces: readonly string[]): void;
  /**
   * Hands a binary message to the socket, at most {@link MAX_FRAME_BYTES}; dropped when the connection is gone. Its
   * bytes may change afterwards. Returns the size of the message.
   */
  sendFrame(frame: Frame): number;
  /** Runs an action; what it sends leaves in one piece, where the runtime can do that. */
  together(action: () => void): void;
  /**
   * True while more than 1 MiB waits for the socket, or for all sockets together too much: stop producing until
   * {@link onDrain}.
   */
  readonly congested: boolean;
  /** True while so much waits that even small answers must stop: the peer asks and does not read. */
  readonly flooded: boolean;
  /** Calls back once, when the socket has room again (not when it closes). */
  onDrain(action: () => void): void;
  /** Sends a ping behind everything that was sent before. */
  ping(payload: string): void;
  /**
   * Stops and resumes the reading of the socket, so that TCP holds back the peer.
   * @param why it is read again when nobody has a reason not to
   */
  pause(why?: string): void;
  resume(why?: string): void;
  /** Bytes came of which no message has become yet: the peer is there. */
  active(): void;
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

/** Pings of a peer between two heartbeats; each costs us as much as a message, and nobody needs so many. */
const MAX_PINGS = 1_000;
/** The least that a pong takes on its way, for what counts as waiting. */
const PONG_BYTES = 6;

/**
 * Wraps an open WebSocket.
 * @param load what all connections of a server have under way, for one that was opened with `autoPong: false`; absent
 * for a client
 */
export function socketChannel(socket: WebSocket, events: ChannelEvents, load?: Load): Channel {
  const shared = load ?? createLoad();
  const holds = new Set<string>();
  let pings = 0;
  let pongIsDue = false;
  let owedPong: Buffer | undefined;
  let closing = false;
  let backlog = 0;
  let drainers: (() => void)[] = [];
  let open = true;
  let own: OwnClose | undefined;

  let lastSign = performance.now();
  let lastPing = lastSign;
  const alive = () => void (lastSign = performance.now());
  // A peer that vanished without a word is found whatever TCP thinks. Bytes that drain are a sign of life too.
  const heartbeat = setInterval(() => {
    const now = performance.now();
    pings = 0;
    if (now - lastSign >= PEER_TIMEOUT_MS) {
      own ??= { code: 1006, reason: `silent for ${PEER_TIMEOUT_MS / 1000} s` };
      return socket.terminate();
    }
    if (now - lastPing < PING_INTERVAL_MS) return;
    lastPing = now;
    if (socket.readyState === socket.OPEN) socket.ping();
  }, HEARTBEAT_MS);
  heartbeat.unref();

  /** More than this, or more than its share of what all sockets have, waits. */
  const exceeds = (ownBytes: number, allBytes: number) =>
    backlog >= ownBytes || backlog >= FAIR_BYTES && shared.outgoingBytes >= allBytes;
  const congested = () => exceeds(SOCKET_HIGH_WATER_BYTES, MAX_OUTGOING_BYTES);

  const sent = (bytes: number) => {
    alive();
    if (!open) return;
    backlog -= bytes;
    shared.outgoingBytes -= bytes;
    if (congested()) return;
    if (owedPong) pong();
    if (drainers.length === 0) return;
    const actions = drainers;
    drainers = [];
    for (const action of actions) action();
  };

  const waits = (bytes: number) => {
    messagePassed(bytes, true);
    backlog += bytes;
    shared.outgoingBytes += bytes;
    return () => sent(bytes);
  };
  const send = (data: string | Uint8Array, bytes: number, fin: boolean, binary = false) =>
    socket.send(data, { binary, fin }, waits(bytes));

  const pong = () => {
    const payload = owedPong;
    owedPong = undefined;
    if (payload && socket.readyState === socket.OPEN) {
      socket.pong(payload, false, waits(PONG_BYTES + payload.length));
    }
  };
  /**
   * Pings are answered by us, of several that came together only the newest (RFC 6455, 5.5.3): the library would keep
   * an answer to each of them for a peer that does not read.
   */
  const pinged = (payload: Buffer) => {
    if (closing) return;
    if (++pings > MAX_PINGS) return close(CloseCode.protocolViolation, "too many pings");
    owedPong = payload;
    if (pongIsDue) return;
    pongIsDue = true;
    setImmediate(() => {
      pongIsDue = false;
      if (open && !congested()) pong();
    });
  };

  const close = (code: number, reason: string) => {
    closing = true;
    own ??= { code, reason };
    if (socket.isPaused) socket.resume(); // the peer's close frame must be read
    socket.close(code, reason);
    const timer = setTimeout(() => socket.terminate(), CLOSE_TIMEOUT_MS);
    socket.once("close", () => clearTimeout(timer));
  };

  const pause = (why: string) => {
    if (holds.size === 0) socket.pause();
    holds.add(why);
  };
  const resume = (why: string) => {
    if (holds.delete(why) && holds.size === 0) socket.resume();
  };

  const { together, copies } = abilitiesOf(socket);

  socket.binaryType = "nodebuffer";
  socket.on("message", (data, isBinary) => {
    alive();
    if (!open || closing) return;
    const bytes = bytesOf(data);
    messagePassed(bytes?.length ?? 0, false);
    if (isBinary && bytes && events.frame && isFrame(bytes)) return events.frame(bytes);
    events.message(bytes && decode(bytes, isBinary));
  });
  socket.on("pong", (payload) => {
    alive();
    if (open && payload.length > 0) events.pong(payload.toString());
  });
  socket.on("ping", (payload) => {
    alive();
    if (load) pinged(payload);
  });
  // Always followed by `close`; without a listener it would end the program.
  socket.on("error", (error) => own ??= refusalOf(error));
  socket.on("close", (code, reason) => {
    if (!open) return;
    open = false;
    drainers = [];
    shared.outgoingBytes -= backlog;
    clearInterval(heartbeat);
    events.closed(code, reason.toString(), own);
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
    sendAscii(...pieces) {
      const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
      if (!copies || length > SCRATCH_BYTES) return this.send(pieces.join(""));
      if (!open || socket.readyState !== socket.OPEN) return;
      let at = 0;
      for (const piece of pieces) at += scratch().write(piece, at, "latin1");
      send(scratch().subarray(0, at), at, true);
    },
    sendFrame(frame) {
      const length = frameLength(frame);
      if (!open || socket.readyState !== socket.OPEN) return length;
      send(
        copies && length <= SCRATCH_BYTES ? frameInto(scratch(), frame) : frameBytes(frame),
        length,
        true,
        true,
      );
      return length;
    },
    together: (action) => together(action),
    get congested() {
      return congested();
    },
    get flooded() {
      return exceeds(FLOOD_BYTES, 2 * MAX_OUTGOING_BYTES);
    },
    onDrain: (action) => void drainers.push(action),
    ping(payload) {
      if (open && socket.readyState === socket.OPEN) socket.ping(payload);
    },
    active: alive,
    pause: (why = "full") => pause(why),
    resume: (why = "full") => resume(why),
    close,
  };
}

/** A chunk of output in its message, also as base64, if the name of the process is not too long. */
const SCRATCH_BYTES = 4 * Math.ceil(MAX_OUTPUT_CHUNK_BYTES / 3) + 4 * 1024;
let memory: Buffer | undefined;

/** Memory for messages that are copied when they are sent: to allocate it for each took as long as to send it. */
function scratch(): Buffer {
  return memory ??= Buffer.alloc(SCRATCH_BYTES);
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function bytesOf(data: unknown): Uint8Array | undefined {
  const bytes = Array.isArray(data) ? Buffer.concat(data) : data;
  return bytes instanceof Uint8Array ? bytes : undefined;
}

/** Text frames were checked by the WebSocket library; binary frames may carry JSON too and are checked here. */
function decode(bytes: Uint8Array, isBinary: boolean): string | undefined {
  if (!isBinary) return bufferView(bytes).toString("utf8");
  try {
    return utf8.decode(bytes);
  } catch {
    return undefined;
  }
}
