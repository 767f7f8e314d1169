import { Buffer } from "node:buffer";
import type { IncomingMessage } from "node:http";
import process from "node:process";
import { WebSocket } from "ws";
import { type Collected, collectOutput } from "./collect.ts";

const DEFAULT_LIMIT_MS = 20_000;

/** Lets leaks.ts find a child that has left the process tree. */
const mark = { EXEC_SERVER_TEST_MARK: process.env["EXEC_SERVER_TEST_MARK"] ?? "none" };

/** A JSON object whose members are not known. */
export type JsonObject = { [name: string]: unknown };

/** True for a JSON object (not for an array or null). */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** One message as it arrived. */
export interface Received {
  message: JsonObject;
  frame: "text" | "binary";
  bytes: number;
}

/** A message without an id. */
export interface Notification {
  method: string;
  params: JsonObject;
}

/** An error answer. */
export class WireError extends Error {
  readonly code: number;
  constructor(code: number, message: string) {
    super(message);
    this.name = "WireError";
    this.code = code;
  }
}

/** The server answered the upgrade with an ordinary HTTP response. */
export class RefusedError extends Error {
  readonly status: number;
  readonly body: string;
  constructor(status: number, body: string) {
    super(`upgrade refused: ${status} ${body}`);
    this.name = "RefusedError";
    this.status = status;
    this.body = body;
  }
}

/** How to connect. */
export interface ConnectOptions {
  /** Send `initialize` and `initialized`; true unless said otherwise. */
  handshake?: boolean;
  headers?: Record<string, string>;
  resumeSessionId?: string;
  clientName?: string;
}

/** A time limit for one wait. */
export interface Limit {
  timeoutMs?: number;
}

/** A connection that speaks the wire protocol word for word; it shares no code with src/. */
export interface WireClient {
  /** Empty without a handshake. */
  readonly sessionId: string;
  /** The result of `initialize`; empty without a handshake. */
  readonly initializeResult: JsonObject;
  /** Everything received so far, in order. */
  readonly messages: readonly Received[];
  /** The notifications among them. */
  readonly notifications: readonly Notification[];
  /** Sends a request with the next free number as id and resolves with the result; rejects with {@link WireError}. */
  call(method: string, params?: unknown, limit?: Limit): Promise<JsonObject>;
  send(message: JsonObject): void;
  sendText(text: string): void;
  sendBinary(bytes: Uint8Array): void;
  /** Sends one text message in several frames of at most `frameBytes`. */
  sendFragments(text: string, frameBytes: number): void;
  /** Sends a ping and resolves with the payload of the next pong. */
  ping(payload?: string): Promise<string>;
  /** Resolves with the first received message, past or future, that fits. */
  waitFor(fits: (message: JsonObject) => boolean, limit?: Limit): Promise<JsonObject>;
  /** Resolves with the code (1006 without a close frame) and the reason when the connection is over. */
  readonly closed: Promise<{ code: number; reason: string }>;
  /** Sends a close frame and waits for the end. */
  close(): Promise<void>;
  /** Drops the connection without a close frame and waits for the end. */
  terminate(): Promise<void>;
  /** Stops reading from the socket. */
  pause(): void;
  resume(): void;
  /**
   * `process/start` with the working folder `/`, no tty, and PATH and the test's mark as environment, unless `options`
   * say otherwise.
   */
  startProcess(processId: string, argv: string[], options?: JsonObject): Promise<JsonObject>;
  /** Waits for `process/closed` and joins the output; fails when a sequence number is missing or appears twice. */
  collect(processId: string, options?: Limit & { afterSeq?: number }): Promise<Collected>;
}

/** Connects and, unless told otherwise, does the handshake. */
export async function connectWire(url: string, options: ConnectOptions = {}): Promise<WireClient> {
  const socket = new WebSocket(url, {
    perMessageDeflate: false,
    maxPayload: 2 ** 30,
    headers: options.headers ?? {},
  });
  const messages: Received[] = [];
  const notifications: Notification[] = [];
  const watchers = new Set<() => void>();
  let over: Error | undefined;
  let initializeResult: JsonObject = {};
  let lastId = 0;

  const closed = new Promise<{ code: number; reason: string }>((ok) => {
    socket.once("close", (code: number, reason: Buffer) => {
      over = new Error(`connection closed: ${code} ${reason.toString()}`);
      ok({ code, reason: reason.toString() });
      for (const look of [...watchers]) look();
    });
  });
  socket.on("message", (data: unknown, isBinary: boolean) => {
    const raw = toBuffer(data);
    const message: unknown = JSON.parse(raw.toString());
    if (!isObject(message)) {
      throw new Error(`the server sent something that is no object: ${raw.toString().slice(0, 200)}`);
    }
    messages.push({ message, frame: isBinary ? "binary" : "text", bytes: raw.length });
    if (typeof message["method"] === "string" && !("id" in message)) {
      notifications.push({
        method: message["method"],
        params: isObject(message["params"]) ? message["params"] : {},
      });
    }
    for (const look of [...watchers]) look();
  });
  await opened(socket);

  const waitFor = (fits: (message: JsonObject) => boolean, limit: Limit = {}): Promise<JsonObject> => {
    const ms = limit.timeoutMs ?? DEFAULT_LIMIT_MS;
    let looked = 0;
    return new Promise((ok, fail) => {
      const done = (act: () => void) => {
        clearTimeout(timer);
        watchers.delete(look);
        act();
      };
      const look = () => {
        for (; looked < messages.length; looked++) {
          const found = messages[looked]?.message;
          if (found !== undefined && fits(found)) return done(() => ok(found));
        }
        const why = over;
        if (why !== undefined) done(() => fail(why));
      };
      const timer = setTimeout(
        () => done(() => fail(new Error(`nothing fitting arrived in ${ms} ms: ${fits}`))),
        ms,
      );
      watchers.add(look);
      look();
    });
  };
  const send = (message: JsonObject) => socket.send(JSON.stringify(message));
  const call = async (method: string, params?: unknown, limit?: Limit): Promise<JsonObject> => {
    const id = ++lastId;
    const from = messages.length; // an id may have been used by the test before
    const isAnswer = (m: JsonObject) =>
      m["id"] === id && !("method" in m) && messages.findIndex((r) => r.message === m) >= from;
    const answer = waitFor(isAnswer, limit).catch((error: unknown): never => {
      throw new Error(`${method}: ${error instanceof Error ? error.message : String(error)}`, {
        cause: error,
      });
    });
    send(params === undefined ? { id, method } : { id, method, params });
    return resultOf(await answer);
  };
  const client: WireClient = {
    get sessionId() {
      return String(initializeResult["sessionId"] ?? "");
    },
    get initializeResult() {
      return initializeResult;
    },
    messages,
    notifications,
    call,
    send,
    sendText: (text) => socket.send(text),
    sendBinary: (bytes) => socket.send(bytes, { binary: true }),
    sendFragments: (text, frameBytes) => {
      const bytes = Buffer.from(text);
      for (let at = 0; at < bytes.length; at += frameBytes) {
        socket.send(bytes.subarray(at, at + frameBytes), {
          binary: false,
          fin: at + frameBytes >= bytes.length,
        });
      }
    },
    ping: (payload = "") =>
      new Promise((ok) => {
        socket.once("pong", (data: Buffer) => ok(data.toString()));
        socket.ping(payload);
      }),
    waitFor,
    closed,
    close: async () => {
      socket.close();
      await closed;
    },
    terminate: async () => {
      socket.terminate();
      await closed;
    },
    pause: () => socket.pause(),
    resume: () => socket.resume(),
    startProcess: (processId, argv, more = {}) =>
      call("process/start", {
        processId,
        argv,
        cwd: "file:///",
        env: { PATH: "/usr/local/bin:/usr/bin:/bin", ...mark },
        tty: false,
        ...more,
      }),
    collect: (processId, limit = {}) => collectOutput(client, processId, limit),
  };
  if (options.handshake ?? true) {
    const resume = options.resumeSessionId === undefined ? {} : { resumeSessionId: options.resumeSessionId };
    try {
      initializeResult = await call("initialize", { clientName: options.clientName ?? "test", ...resume });
    } catch (error) {
      await client.terminate();
      throw error;
    }
    send({ method: "initialized", params: {} });
  }
  return client;
}

/** What a request is answered with: its result, or code and text of its error. */
export async function outcome(
  answer: Promise<JsonObject>,
): Promise<JsonObject | [code: number, text: string]> {
  return await answer.catch((error: unknown): [number, string] => {
    if (error instanceof WireError) return [error.code, error.message];
    throw error;
  });
}

/** Code and text of the error that a request is answered with. @throws when it is accepted */
export async function refusal(answer: Promise<unknown>): Promise<[code: number, text: string]> {
  const result = await answer.catch((error: unknown) => error);
  if (result instanceof WireError) return [result.code, result.message];
  throw result instanceof Error ? result : new Error(`no error answer: ${JSON.stringify(result)}`);
}

function opened(socket: WebSocket): Promise<void> {
  return new Promise((ok, fail) => {
    socket.once("open", ok);
    socket.on("error", fail); // also keeps a later error from being thrown; `closed` tells of the end
    socket.once("unexpected-response", (_request: unknown, response: IncomingMessage) => {
      let body = "";
      response.setEncoding("utf8").on("data", (text: string) => body += text);
      response.on("end", () => fail(new RefusedError(response.statusCode ?? 0, body)));
    });
  });
}

function resultOf(message: JsonObject): JsonObject {
  const { error, result } = message;
  if (isObject(error)) throw new WireError(Number(error["code"]), String(error["message"]));
  if (!isObject(result)) throw new Error(`an answer without a result object: ${JSON.stringify(message)}`);
  return result;
}

function toBuffer(data: unknown): Buffer {
  if (Buffer.isBuffer(data)) return data;
  if (data instanceof ArrayBuffer) return Buffer.from(data);
  if (Array.isArray(data)) return Buffer.concat(data.map(toBuffer));
  throw new Error("a message that is no bytes");
}
