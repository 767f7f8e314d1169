/** One connection to a server, from the first packet to the end of the handshake. */
import { WebSocket } from "ws";
import { Buffer } from "node:buffer";
import type { IncomingMessage } from "node:http";
import type * as v from "valibot";
import type { EnvironmentInfoSchema } from "../protocol/environment.ts";
import { blockOfFrame } from "../files/wire_block.ts";
import { ExecServerError, messageOf } from "../protocol/error.ts";
import { Initialize, Initialized } from "../protocol/initialize.ts";
import { MAX_MESSAGE_BYTES } from "../protocol/limits.ts";
import { clip } from "../protocol/quote.ts";
import type { Caller } from "../rpc/caller.ts";
import { type Channel, CloseCode, socketChannel } from "../rpc/channel.ts";
import { errorText, notificationText, parseMessage } from "../rpc/envelope.ts";
import { type Frame, FRAME_VERSION, FrameKind, parseFrame } from "../rpc/frame.ts";
import { createPending, type Sender } from "../rpc/pending.ts";
import { deferred } from "../runtime/deferred.ts";
import { shownUrl, targetOf, type TlsOptions } from "./target.ts";
import { tlsProblem } from "./tls_problem.ts";

/** How to reach a server. */
export interface ConnectOptions {
  /** Bearer token, sent as `Authorization: Bearer …`. A function is asked for each connection: tokens may expire. */
  readonly token?: string | (() => string | Promise<string>);
  /** For `wss://`: what to trust, and what to show. */
  readonly tls?: TlsOptions;
  /** Gives up connecting. */
  readonly signal?: AbortSignal;
  /** What the server's log calls this client. Default `exec-server`. */
  readonly clientName?: string;
  /** Resume this session instead of opening one. */
  readonly resumeSessionId?: string;
  /** With {@link resumeSessionId}: false refuses when another connection has the session. Default true: take it over. */
  readonly takeOver?: boolean;
  /** False: output and input travel as base64 in JSON, also where the server speaks binary messages. Default true. */
  readonly binary?: boolean;
  /** Limit for TCP, TLS and upgrade, in ms. Default 10,000. */
  readonly connectTimeoutMs?: number;
  /** Limit for the handshake that follows, in ms. Default 10,000. */
  readonly initializeTimeoutMs?: number;
}

/** What a link adds to the handshake. */
export interface HandshakeOptions extends ConnectOptions {
  /** For each process: the last event that has been read; the server pushes on from there. */
  readonly cursors?: Record<string, number>;
  /** Life of the session without a connection, in ms. */
  readonly sessionTtlMs?: number;
}

/** A connection whose handshake is done. */
export interface Connection extends Caller {
  readonly sessionId: string;
  /** What the server told of its machine. */
  readonly info: v.InferOutput<typeof EnvironmentInfoSchema> | null | undefined;
  /** The socket underneath. */
  readonly channel: Channel;
  /** Life of the session without a connection, in ms, if the server told. */
  readonly sessionTtlMs: number | undefined;
  /** False once it has ended. */
  readonly open: boolean;
  /** Sends a notification. */
  notify(name: string, params: unknown): void;
  /** Ends it. */
  close(): Promise<void>;
}

/** Default of {@link ConnectOptions.connectTimeoutMs} and `initializeTimeoutMs`. */
export const DEFAULT_CONNECT_TIMEOUT_MS = 10_000;

/** Told each notification of the server, in order. */
export interface NotificationListener {
  notification(method: string, params: unknown): void;
  /** A notification as a binary message; its bytes are valid until the return. */
  frame(frame: Frame): void;
}

/** Called once, when an open connection has ended: the close code and the reason. */
export type EndListener = (code: number, reason: ExecServerError) => void;

/**
 * Connects and does the handshake.
 * @throws ExecServerError `CONNECT_FAILED`, `TLS_FAILED`, `UNAUTHORIZED`, `REFUSED`, `TIMEOUT`, `INVALID_REQUEST` for a
 * URL that is none, or the server's refusal (`UNKNOWN_SESSION`, `SESSION_ATTACHED`)
 */
export async function connect(
  url: string | URL,
  options: HandshakeOptions,
  listener: NotificationListener,
  onEnd: EndListener,
): Promise<Connection> {
  const token = typeof options.token === "function" ? await options.token() : options.token;
  const socket = await openSocket(url, token, options);
  const pending = createPending();
  const ended = deferred<void>();
  let open = true;
  let established = false;
  const channel = socketChannel(socket, {
    message: (text) => guarded(() => receive(text)),
    frame: (message) => guarded(() => receiveFrame(parseFrame(message))),
    pong() {},
    closed(code, reason) {
      const error = new ExecServerError(
        "DISCONNECTED",
        `the connection ended (${code}${reason && `: ${clip(reason)}`})`,
      );
      open = false;
      pending.fail(error);
      ended.resolve(undefined);
      if (established) onEnd(code, error);
    },
  });
  const guarded = (action: () => void) => {
    try {
      action();
    } catch (error) {
      channel.close(CloseCode.protocolViolation, clip(messageOf(error)).slice(0, 40));
    }
  };
  const receiveFrame = (frame: Frame) => {
    if (frame.kind !== FrameKind.block) return listener.frame(frame);
    pending.settle({ kind: "result", id: frame.id, result: blockOfFrame(frame) });
  };
  const receive = (text: string | undefined) => {
    const message = parseMessage(text ?? "");
    switch (message.kind) {
      case "notification":
        return listener.notification(message.method, message.params);
      case "request":
        return channel.send(
          errorText(message.id, -32601, `this client does not implement \`${clip(message.method)}\``),
        );
      default:
        pending.settle(message); // an answer to a request that was given up is dropped
    }
  };
  let binary = false;
  const sender: Sender = {
    send: (text) => channel.send(text),
    get sendFrame() {
      return binary ? channel.sendFrame : undefined;
    },
  };
  const caller: Caller = {
    call: (method, params, how) => pending.call(sender, method, params, how),
  };
  const params = {
    clientName: options.clientName ?? "exec-server",
    resumeSessionId: options.resumeSessionId ?? null,
    acknowledgesOutput: true,
    sessionTtlMs: options.sessionTtlMs ?? null,
    takeOver: options.takeOver ?? true,
    binaryFrames: options.binary === false ? 0 : FRAME_VERSION,
    cursors: options.cursors ?? {},
  };
  const limit = AbortSignal.timeout(options.initializeTimeoutMs ?? DEFAULT_CONNECT_TIMEOUT_MS);
  try {
    const signal = options.signal ? AbortSignal.any([options.signal, limit]) : limit;
    const opened = await caller.call(Initialize, params, { signal });
    channel.send(notificationText(Initialized.name, {}));
    binary = opened.binaryFrames === FRAME_VERSION;
    established = true;
    return {
      ...caller,
      sessionId: opened.sessionId,
      info: opened.environmentInfo,
      channel,
      sessionTtlMs: opened.sessionTtlMs ?? undefined,
      get open() {
        return open;
      },
      notify: (name, about) => channel.send(notificationText(name, about)),
      async close() {
        channel.close(CloseCode.normal, "");
        await ended.promise;
      },
    };
  } catch (error) {
    channel.close(CloseCode.normal, "");
    if (limit.aborted && !options.signal?.aborted) {
      throw new ExecServerError("TIMEOUT", `${shownUrl(url)} did not answer the handshake in time`);
    }
    if (error instanceof ExecServerError && error.code === "DISCONNECTED") {
      throw new ExecServerError("CONNECT_FAILED", `${shownUrl(url)}: ${error.message} during the handshake`, {
        cause: error,
      });
    }
    throw error;
  }
}

function openSocket(
  url: string | URL,
  token: string | undefined,
  options: ConnectOptions,
): Promise<WebSocket> {
  const { promise, resolve, reject } = deferred<WebSocket>();
  options.signal?.throwIfAborted();
  let socket: WebSocket;
  const target = targetOf(url, options.tls);
  try {
    socket = new WebSocket(target.url, {
      ...target.options,
      headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
      handshakeTimeout: options.connectTimeoutMs ?? DEFAULT_CONNECT_TIMEOUT_MS,
      maxPayload: MAX_MESSAGE_BYTES,
      perMessageDeflate: false,
    });
  } catch (error) {
    throw new ExecServerError("CONNECT_FAILED", `cannot connect to ${shownUrl(url)}: ${messageOf(error)}`, {
      cause: error,
    });
  }
  const abort = () => {
    socket.terminate();
    reject(options.signal?.reason);
  };
  options.signal?.addEventListener("abort", abort);
  socket.once("open", () => resolve(socket));
  socket.on("error", (error) => {
    const problem = String(url).startsWith("wss:")
      ? tlsProblem(error, options.tls?.cert !== undefined)
      : undefined;
    reject(
      new ExecServerError(
        problem === undefined ? "CONNECT_FAILED" : "TLS_FAILED",
        `cannot connect to ${shownUrl(url)}: ${problem ?? error.message}`,
        { cause: error },
      ),
    );
  });
  socket.once("unexpected-response", (_request: unknown, response: IncomingMessage) => {
    const chunks: Buffer[] = [];
    response.on("data", (chunk: Buffer) => chunks.push(chunk));
    response.on("end", () => {
      const body = clip(Buffer.concat(chunks).toString().trim());
      const text = `${shownUrl(url)} refused the connection: ${response.statusCode ?? 0}${
        body && ` ${body}`
      }`;
      reject(new ExecServerError(response.statusCode === 401 ? "UNAUTHORIZED" : "REFUSED", text));
      socket.terminate();
    });
  });
  return promise.finally(() => options.signal?.removeEventListener("abort", abort));
}
