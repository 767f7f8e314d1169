/** A client of the wire that keeps nothing: for streams that would not fit into memory. It shares no code with src/. */
import { Buffer } from "node:buffer";
import process from "node:process";
import { WebSocket } from "ws";
import { isObject, type JsonObject, WireError } from "../harness/wire_client.ts";

/** One event of a process, as it was pushed or answered. */
export interface RawEvent {
  readonly type: "output" | "exited" | "closed";
  readonly processId: string;
  readonly seq: number;
  readonly bytes: Buffer;
}

/** How to connect. */
export interface RawOptions {
  /** Added to the params of `initialize`; false sends none (see {@link RawClient.initialize}). */
  readonly initialize?: JsonObject | false;
  /** Called for each event that is pushed, in order. */
  readonly onEvent?: (event: RawEvent, client: RawClient) => void;
  /** Called for every other notification. */
  readonly onOther?: (method: string, params: JsonObject) => void;
}

/** A connection. */
export interface RawClient {
  /** The result of `initialize`. */
  readonly opened: JsonObject;
  readonly sessionId: string;
  /** Messages received so far. */
  readonly received: number;
  /** Sends a request and resolves with its result. @throws WireError */
  call(method: string, params?: JsonObject | null): Promise<JsonObject>;
  notify(method: string, params: JsonObject): void;
  /** Does the handshake. @throws WireError */
  initialize(params?: JsonObject): Promise<JsonObject>;
  /** Says that everything up to `seq` has arrived. */
  acknowledge(processId: string, seq: number): void;
  /** `process/start` with PATH and the test's mark as environment. */
  start(processId: string, argv: string[], more?: JsonObject): Promise<JsonObject>;
  /** Resolves with the code (1006 without a close frame) and the reason when the connection is over. */
  readonly closed: Promise<{ readonly code: number; readonly reason: string }>;
  /** Stops and resumes the reading of the socket. */
  pause(): void;
  resume(): void;
  /** Drops the connection without a close frame and waits for the end. */
  terminate(): Promise<void>;
}

interface Waiting {
  resolve(result: JsonObject): void;
  reject(reason: Error): void;
}

/** Connects and, unless told otherwise, does the handshake. */
export async function openRawClient(url: string, options: RawOptions = {}): Promise<RawClient> {
  const socket = new WebSocket(url, { perMessageDeflate: false, maxPayload: 2 ** 30 });
  const waiting = new Map<number, Waiting>();
  let lastId = 0;
  let received = 0;
  let opened: JsonObject = {};
  let over: Error | undefined;

  const closed = new Promise<{ code: number; reason: string }>((ok) => {
    socket.once("close", (code: number, reason: Buffer) => {
      over = new Error(`connection closed: ${code} ${reason.toString()}`);
      for (const { reject } of waiting.values()) reject(over);
      waiting.clear();
      ok({ code, reason: reason.toString() });
    });
  });
  socket.on("message", (data: Buffer) => {
    received++;
    const message: unknown = JSON.parse(data.toString());
    if (!isObject(message)) throw new Error("the server sent something that is no object");
    const { id, method, params, error, result } = message;
    if (typeof method === "string") {
      const about = isObject(params) ? params : {};
      const event = eventOf(method, about);
      if (event) options.onEvent?.(event, client);
      else options.onOther?.(method, about);
      return;
    }
    const asked = waiting.get(Number(id));
    waiting.delete(Number(id));
    if (isObject(error)) asked?.reject(new WireError(Number(error["code"]), String(error["message"])));
    else asked?.resolve(isObject(result) ? result : {});
  });
  await new Promise<void>((ok, fail) => {
    socket.once("open", ok);
    socket.on("error", fail); // also keeps a later error from being thrown
  });

  const client: RawClient = {
    get opened() {
      return opened;
    },
    get sessionId() {
      return String(opened["sessionId"] ?? "");
    },
    get received() {
      return received;
    },
    call(method, params) {
      if (over) return Promise.reject(over);
      const id = ++lastId;
      socket.send(JSON.stringify(params === undefined ? { id, method } : { id, method, params }));
      return new Promise((resolve, reject) => waiting.set(id, { resolve, reject }));
    },
    notify(method, params) {
      if (socket.readyState === socket.OPEN) socket.send(JSON.stringify({ method, params }));
    },
    async initialize(params = {}) {
      opened = await client.call("initialize", { clientName: "raw", ...params });
      client.notify("initialized", {});
      return opened;
    },
    acknowledge: (processId, seq) => client.notify("process/outputAck", { processId, seq }),
    start: (processId, argv, more = {}) =>
      client.call("process/start", {
        processId,
        argv,
        cwd: "file:///",
        env: {
          PATH: "/usr/local/bin:/usr/bin:/bin",
          EXEC_SERVER_TEST_MARK: process.env["EXEC_SERVER_TEST_MARK"] ?? "none",
        },
        tty: false,
        ...more,
      }),
    closed,
    pause: () => socket.pause(),
    resume: () => socket.resume(),
    async terminate() {
      socket.terminate();
      await closed;
    },
  };
  if (options.initialize !== false) {
    try {
      await client.initialize(options.initialize);
    } catch (error) {
      await client.terminate();
      throw error;
    }
  }
  return client;
}

/** An event of a process among the notifications. */
function eventOf(method: string, params: JsonObject): RawEvent | undefined {
  const type =
    ({ "process/output": "output", "process/exited": "exited", "process/closed": "closed" } as const)[
      method
    ];
  if (type === undefined) return undefined;
  return {
    type,
    processId: String(params["processId"]),
    seq: Number(params["seq"]),
    bytes: Buffer.from(typeof params["chunk"] === "string" ? params["chunk"] : "", "base64"),
  };
}

/** What `process/read` answers. */
export interface ReadAnswer {
  readonly chunks: readonly { readonly seq: number; readonly bytes: Buffer }[];
  readonly nextSeq: number;
  readonly closed: boolean;
  readonly exitCode: number | undefined;
  readonly lost: { readonly fromSeq: number; readonly toSeq: number } | undefined;
}

/** Calls `process/read`. @throws WireError */
export async function readOnce(client: RawClient, params: JsonObject): Promise<ReadAnswer> {
  const answer = await client.call("process/read", params);
  const { chunks, nextSeq, closed, exitCode, lost } = answer;
  return {
    chunks: (Array.isArray(chunks) ? chunks : []).filter(isObject).map((chunk: JsonObject) => ({
      seq: Number(chunk["seq"]),
      bytes: Buffer.from(String(chunk["chunk"]), "base64"),
    })),
    nextSeq: Number(nextSeq),
    closed: closed === true,
    exitCode: typeof exitCode === "number" ? exitCode : undefined,
    lost: isObject(lost) ? { fromSeq: Number(lost["fromSeq"]), toSeq: Number(lost["toSeq"]) } : undefined,
  };
}

/** The error that a call is answered with. */
export async function refusalOf(promise: Promise<unknown>): Promise<{ code: number; message: string }> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof WireError) return { code: error.code, message: error.message };
    throw error;
  }
  throw new Error("it was not refused");
}

/** The pid that `process/list` tells. */
export async function pidOf(client: RawClient, processId: string): Promise<number> {
  const { processes } = await client.call("process/list", null);
  const all = Array.isArray(processes) ? processes.filter(isObject) : [];
  const found = all.find((each: JsonObject) => each["processId"] === processId);
  return Number(found?.["pid"]);
}
