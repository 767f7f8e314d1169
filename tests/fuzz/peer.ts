/** A client that sends whatever it is told, and checks everything that the server sends. */
import { Buffer } from "node:buffer";
import { connect, type Socket } from "node:net";
import { type Frame, Opcode, parseFrame, upgradeRequest } from "../harness/raw_socket.ts";
import { isObject, type JsonObject } from "../harness/wire_client.ts";
import { outputOfFrame } from "../../src/process/wire_bytes.ts";
import { parseFrame as parseBinary } from "../../src/rpc/frame.ts";
import { textFrame, wholeFrame } from "./frame_bytes.ts";
import { messageProblem } from "./message_rules.ts";

/** Nothing that a healthy server does takes so long, also on a busy machine, in ms. */
export const ANSWER_LIMIT_MS = 20_000;

/** How a connection ended; 1006 without a close frame. */
export interface Closing {
  readonly code: number;
  readonly reason: string;
}

/** A connection over which anything can be sent. */
export interface Peer {
  /** Sends bytes as they are. */
  write(bytes: Uint8Array): void;
  /** Sends a text message. */
  send(text: string): void;
  /** Sends a request with an id of its own; resolves with its answer, or how the connection ended before it. */
  request(method: string, params: unknown): Promise<JsonObject | Closing>;
  /** The answers so far that have this id, written as JSON. */
  answers(id: string): readonly JsonObject[];
  /** Every message so far. */
  readonly messages: readonly JsonObject[];
  /** What the server did that it must not do. */
  readonly problems: string[];
  /** Set when the connection is over. */
  readonly closing: Closing | undefined;
  readonly closed: Promise<Closing>;
  /** Waits for an answer to a request of its own, which is sent behind everything else, or for the end. */
  probe(): Promise<JsonObject | Closing>;
  /** Stops and resumes reading. */
  pause(): void;
  resume(): void;
  /** Ends the sending side, resets the connection, or drops it. */
  end(how: "fin" | "reset" | "drop" | "close"): void;
}

/** True for an end instead of an answer. */
export function isClosing(got: JsonObject | Closing): got is Closing {
  return "code" in got && "reason" in got;
}

/** Fails when something takes longer than {@link ANSWER_LIMIT_MS}. */
export async function soon<T>(what: string, promise: Promise<T>, limitMs = ANSWER_LIMIT_MS): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: nothing within ${limitMs} ms`)), limitMs);
  });
  return await Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** A TCP connection to where a server listens. */
export async function openSocket(url: string): Promise<Socket> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname.replace(/^\[|\]$/g, ""));
  socket.setNoDelay(true);
  const opened = new Promise<void>((resolve, reject) => {
    socket.once("connect", resolve);
    socket.once("error", reject);
  });
  socket.on("error", () => {}); // `close` follows
  await soon("connect", opened);
  return socket;
}

/** Ids of {@link Peer.request}; what a case makes up it may also use twice. */
const OWN_ID = /^"r\d+"$/;

/** As `resetAndDestroy`, which under Node never ends on a socket that is already being shut down. */
export function resetSocket(socket: Socket): void {
  if (socket.writable) socket.resetAndDestroy();
  else socket.destroy();
}

/** Connects and upgrades; no handshake. */
export async function openPeer(url: string): Promise<Peer> {
  const socket = await openSocket(url);
  const messages: JsonObject[] = [];
  const problems: string[] = [];
  const answered = new Map<string, JsonObject[]>();
  const waiting = new Map<string, (answer: JsonObject) => void>();
  let received: Buffer<ArrayBufferLike> = Buffer.alloc(0);
  let needed = 1;
  let pieces: Buffer[] = [];
  let isBinary = false;
  let upgraded: (() => void) | undefined;
  let closing: Closing | undefined;
  let farewell: Closing | undefined;
  let lastId = 0;

  const message = (bytes: Buffer, isBinary: boolean) => {
    if (isBinary) {
      try {
        const { processId, event } = outputOfFrame(parseBinary(bytes));
        messages.push({ method: "process/output", params: { processId, seq: event.seq } });
      } catch (error) {
        problems.push(`a binary message: ${error}`);
      }
      return;
    }
    const text = bytes.toString();
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      return void problems.push(`a message that is no JSON: ${text.slice(0, 200)}`);
    }
    const problem = messageProblem(value);
    if (problem !== undefined) problems.push(`${problem}: ${text.slice(0, 500)}`);
    if (!isObject(value)) return;
    messages.push(value);
    if ("method" in value) return;
    const id = JSON.stringify(value["id"]);
    const others = answered.get(id) ?? [];
    answered.set(id, [...others, value]);
    if (others.length > 0 && OWN_ID.test(id)) {
      problems.push(`a second answer to ${id}: ${text.slice(0, 300)}`);
    }
    waiting.get(id)?.(value);
    waiting.delete(id);
  };
  const frame = ({ fin, opcode, payload }: Frame) => {
    if (opcode === Opcode.ping) return write(wholeFrame(Opcode.pong, payload));
    if (opcode === Opcode.pong) return;
    if (opcode === Opcode.close) {
      const code = payload.length < 2 ? 1005 : payload.readUInt16BE(0);
      farewell = { code, reason: payload.subarray(2).toString() };
      return write(wholeFrame(Opcode.close, payload));
    }
    if (pieces.length === 0) isBinary = opcode === Opcode.binary;
    pieces.push(payload);
    if (!fin) return;
    message(Buffer.concat(pieces), isBinary);
    pieces = [];
  };
  const takeFrames = () => {
    while (received.length >= needed) {
      const parsed = parseFrame(received);
      if ("needed" in parsed) {
        needed = parsed.needed;
        return;
      }
      received = received.subarray(parsed.size);
      needed = 1;
      frame(parsed.value);
    }
  };
  const write = (bytes: Uint8Array) => {
    if (!socket.destroyed && socket.writable) socket.write(bytes);
  };
  socket.on("data", (data: Buffer) => {
    received = received.length === 0 ? data : Buffer.concat([received, data]);
    if (upgraded) {
      const end = received.indexOf("\r\n\r\n");
      if (end < 0) return;
      if (!received.subarray(0, end).toString().startsWith("HTTP/1.1 101 ")) {
        problems.push(`no upgrade: ${received.subarray(0, end).toString()}`);
      }
      received = received.subarray(end + 4);
      upgraded();
      upgraded = undefined;
    }
    takeFrames();
  });
  const closed = new Promise<Closing>((resolve) => {
    socket.once("close", () => {
      closing = farewell ?? { code: 1006, reason: "" };
      resolve(closing);
    });
  });

  const ready = new Promise<void>((resolve) => upgraded = resolve);
  socket.write(upgradeRequest(url));
  await soon("upgrade", Promise.race([ready, closed]));
  if (closing !== undefined) throw new Error("the connection ended during the upgrade");

  const request = (method: string, params: unknown): Promise<JsonObject | Closing> => {
    const id = `r${++lastId}`;
    const answer = new Promise<JsonObject>((resolve) => waiting.set(JSON.stringify(id), resolve));
    write(textFrame(JSON.stringify({ id, method, params })));
    return Promise.race([answer, closed]);
  };
  return {
    write,
    send: (text) => write(textFrame(text)),
    request,
    answers: (id) => answered.get(id) ?? [],
    messages,
    problems,
    get closing() {
      return closing;
    },
    closed,
    probe: () => soon("the answer to a probe", request("environment/status", {})),
    pause: () => void socket.pause(),
    resume: () => void socket.resume(),
    end(how) {
      if (how === "fin") socket.end();
      else if (how === "reset") resetSocket(socket);
      else if (how === "drop") socket.destroy();
      else write(wholeFrame(Opcode.close, Buffer.from([0x03, 0xe8])));
    },
  };
}
