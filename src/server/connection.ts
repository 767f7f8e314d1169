/** One connection of a client: handshake, order of checks, queues (protocol reference, sections 4 to 7). */
import * as v from "valibot";
import type { WebSocket } from "ws";
import { isAscii } from "../protocol/ascii.ts";
import {
  ExecServerError,
  invalidRequest,
  messageOf,
  RpcCode,
  rpcCodeOf,
  toExecServerError,
} from "../protocol/error.ts";
import { FsWriteBlock } from "../protocol/files.ts";
import { Initialize, Initialized } from "../protocol/initialize.ts";
import { MAX_EARLY_MESSAGE_BYTES, MAX_WAITING_REQUESTS } from "../protocol/limits.ts";
import { type Area, decodeParams } from "../protocol/method.ts";
import {
  ProcessClosed,
  ProcessExited,
  ProcessOutput,
  ProcessOutputAck,
  ProcessOutputLost,
  ProcessWrite,
} from "../protocol/process.ts";
import { clip } from "../protocol/quote.ts";
import type { LogView, OutputEvent } from "../process/output_log.ts";
import type { ProcessEvent } from "../process/trait.ts";
import { outputFrame } from "../process/wire_bytes.ts";
import { exitToWire } from "../process/wire_exit.ts";
import { BytesAnswer } from "../rpc/caller.ts";
import { CloseCode, socketChannel } from "../rpc/channel.ts";
import { errorText, notificationText, parseMessage, type RequestId, resultText } from "../rpc/envelope.ts";
import { type Frame, FRAME_VERSION, FrameKind, isFrameId, parseFrame } from "../rpc/frame.ts";
import {
  FAIR_BYTES,
  FAIR_REQUESTS,
  MAX_ALL_REQUEST_BYTES,
  MAX_REQUEST_BYTES,
  MAX_RUNNING_REQUESTS,
  REQUEST_OVERHEAD_BYTES,
} from "../rpc/load.ts";
import type { Call, Lane } from "../rpc/route.ts";
import { createInbox } from "../rpc/turns.ts";
import type { Attachment, Session } from "../session/session.ts";
import { auditConnection } from "./audit_connection.ts";
import type { Server } from "./server.ts";

/** The requests that may come as binary messages. */
const FRAMED_REQUESTS: ReadonlyMap<number, string> = new Map([
  [FrameKind.write, ProcessWrite.name],
  [FrameKind.writeBlock, FsWriteBlock.name],
]);

const TOO_BIG_YET = `a message before initialize has ${MAX_EARLY_MESSAGE_BYTES} bytes at most`;

/** From this size on the text of an output is not put together: each step of that would copy it. */
const LONG_OUTPUT_BYTES = 4 * 1024;

/** A request that is ready to run. */
interface Work {
  readonly id: RequestId;
  readonly area: Area;
  readonly lane: Lane;
  /** What it takes up until it is answered. */
  readonly bytes: number;
  readonly run: (call: Call) => unknown;
}

/**
 * Serves one client until its connection ends; then its session is detached.
 * @param peer the client's address and port, for messages and logs
 * @param bytesRead how much has been read of its socket
 */
export function serveConnection(
  server: Server,
  socket: WebSocket,
  peer: string,
  bytesRead: () => number,
): void {
  let session: Session | undefined;
  let state: "new" | "resuming" | "opened" | "ready" | "evicted" = "new";
  let early: string[] = []; // messages that came while a session was being resumed
  let runningOrdinary = 0;
  let waiting = 0;
  let queue: Work[] = [];
  let queueHead = 0;
  let paused = false;
  let binary = false;
  let draining = false;
  const running = new Map<Work, () => void>(); // how to reject what is being handled
  const gone = new AbortController();
  const audit = auditConnection(server.audit, peer);
  const { load } = server;
  let messages = 0;
  let requestBytes = 0;
  let isOpen = true;

  const inbox = createInbox<string | Uint8Array | undefined>({
    handle: (message) => {
      if (state === "new" && isTooBigYet(message)) return channel.close(CloseCode.tooBig, TOO_BIG_YET);
      if (message === undefined) return malformed("invalid unicode code point");
      if (typeof message === "string") return receive(message);
      if (!binary) return malformed("invalid unicode code point");
      if (state !== "evicted") framed(message);
    },
    full: () => channel.pause("inbox"),
    empty: () => channel.resume("inbox"),
    busy: () => channel.flooded ? (again) => channel.onDrain(again) : undefined,
  });
  const channel = socketChannel(socket, {
    frame(message) {
      messages++;
      inbox.push(message);
    },
    message(text) {
      messages++;
      inbox.push(text);
    },
    pong(payload) {
      if (session && session.attachment === attachment && /^\d{1,15}$/.test(payload)) {
        session.pong(Number(payload));
      }
    },
    closed(code, reason, own) {
      server.log("debug", "connection closed", { peer, code, reason: clip(own?.reason ?? reason) });
      audit.closed(own?.code ?? code, own?.reason);
      queue = early = [];
      queueHead = 0;
      isOpen = false;
      load.requestBytes -= requestBytes;
      inbox.clear();
      endWatch?.();
      gone.abort(new ExecServerError("DISCONNECTED", "the connection is gone"));
      clearTimeout(handshake);
      if (session && attachment) server.registry.detach(session, attachment);
      server.connections.delete(shutdown);
      if (server.connections.size === 0) server.idle();
    },
  }, load);
  const shutdown = () => channel.close(CloseCode.goingAway, "server is shutting down");
  server.connections.add(shutdown);
  const endWatch = server.incoming?.watch({
    bytesRead,
    messages: () => messages,
    isEarly: () => state === "new",
    active: () => channel.active(),
    hold: (held) => held ? channel.pause("incoming") : channel.resume("incoming"),
    cut(reason) {
      server.log("warn", "connection cut", { peer, reason: `message ${reason}` });
      channel.close(
        reason === "too big" ? CloseCode.tooBig : CloseCode.protocolViolation,
        reason !== "too big"
          ? "others wait for a message that does not come"
          : state === "new"
          ? TOO_BIG_YET
          : "message too big",
      );
      channel.pause("cut"); // what still comes of it is not taken in, either
    },
  });
  const { handshakeMs } = server.options.limits;
  const handshake = setTimeout(
    () => violation(`no initialize within ${handshakeMs / 1000} s (--handshake-timeout)`),
    handshakeMs,
  );

  let attachment: Attachment | undefined;
  const makeAttachment = (acknowledges: boolean): Attachment => ({
    acknowledges,
    push(processId, event, log) {
      const frame = binary && event.type === "output" ? outputFrame(processId, event) : undefined;
      if (frame) return channel.sendFrame(frame);
      if (event.type === "output" && event.bytes.length >= LONG_OUTPUT_BYTES && isAscii(processId)) {
        const chunk = log.base64(event);
        const head = outputText(processId, event, "").slice(0, -OUTPUT_END.length);
        channel.sendAscii(head, chunk, OUTPUT_END);
        return head.length + chunk.length + OUTPUT_END.length;
      }
      const text = eventText(processId, event, log);
      channel.send(text);
      return text.length;
    },
    together: (action) => channel.together(action),
    lost(processId, fromSeq, toSeq) {
      if (acknowledges) channel.send(notificationText(ProcessOutputLost.name, { processId, fromSeq, toSeq }));
    },
    ping: (count) => channel.ping(String(count)),
    get congested() {
      return channel.congested;
    },
    onDrain: (action) => channel.onDrain(action),
    evict,
  });

  /** Another connection has the session now: what is open here is refused, then the connection ends. */
  const evict = () => {
    state = "evicted";
    server.log("info", "session taken over", { peer, session: session?.id ?? "" });
    if (session) audit.session("session.taken-over", session);
    const waitingWork = queue.slice(queueHead);
    queue = [];
    queueHead = 0;
    for (const reject of running.values()) reject();
    for (const work of waitingWork) refuse(work.id, takenOver(), work.area);
    gone.abort(takenOver());
    channel.close(CloseCode.takenOver, "session has been resumed by another connection");
  };

  const malformed = (problem: string) => {
    const text = `failed to parse websocket JSON-RPC message from exec-server websocket ${peer}: ${problem}`;
    channel.send(errorText(-1, -32600, text));
    audit.malformed(session);
  };

  const violation = (reason: string) => {
    server.log("warn", "protocol violation", { peer, reason });
    channel.close(CloseCode.protocolViolation, reason);
  };

  /** A request as a binary message: only after a handshake that agreed on those. */
  const framed = (message: Uint8Array) => {
    let frame: Frame;
    try {
      frame = parseFrame(message);
    } catch (error) {
      return malformed(messageOf(error));
    }
    const method = FRAMED_REQUESTS.get(frame.kind);
    if (method === undefined) return malformed(`unknown kind of binary message ${frame.kind}`);
    request(frame.id, method, undefined, message.length + REQUEST_OVERHEAD_BYTES, frame);
  };

  const receive = (text: string) => {
    if (state === "evicted") return;
    if (state === "resuming") return void early.push(text);
    let message;
    try {
      message = parseMessage(text);
    } catch (error) {
      return malformed(error instanceof Error ? clip(error.message) : "unreadable");
    }
    switch (message.kind) {
      case "request":
        return request(message.id, message.method, message.params, text.length + REQUEST_OVERHEAD_BYTES);
      case "notification":
        return notification(message.method, message.params);
      default:
        return violation("answer to a request that was not sent");
    }
  };

  const notification = (method: string, params: unknown) => {
    switch (method) {
      case Initialized.name:
        if (!session) return violation("initialized before a successful initialize");
        state = "ready";
        return;
      case ProcessOutputAck.name: {
        const parsed = v.safeParse(ProcessOutputAck.params, params);
        if (!parsed.success) return violation(`malformed ${method}`);
        session?.acknowledge(parsed.output.processId, parsed.output.seq);
        return;
      }
      default:
        return violation(`unknown notification ${brief(method)}`);
    }
  };

  const request = (id: RequestId, method: string, params: unknown, bytes: number, frame?: Frame) => {
    try {
      if (method === Initialize.name) return initialize(id, params);
      const route = (session ? server.routesOf(session) : server.declared).get(method);
      if (!route) {
        const text = `exec-server stub does not implement \`${clip(method)}\` yet`;
        throw new ExecServerError("METHOD_NOT_FOUND", text, { rpcCode: RpcCode.methodNotFound });
      }
      const run = audit.prepare(route, params, session, frame);
      const { area } = route.method;
      if (!session) throw invalidRequest(`client must call initialize before using ${area} methods`);
      if (state !== "ready") {
        throw invalidRequest(`client must send initialized before using ${area} methods`);
      }
      accept({ id, area, lane: route.lane, bytes, run });
    } catch (error) {
      audit.refused(method, error, session);
      refuse(id, error, "exec");
    }
  };

  const initialize = (id: RequestId, rawParams: unknown) => {
    const params = decodeParams(Initialize, rawParams);
    if (session) throw invalidRequest("initialize may only be sent once per connection");
    const own = makeAttachment(params.acknowledgesOutput);
    const opened = (got: Session) => {
      clearTimeout(handshake);
      session = got;
      attachment = own;
      state = "opened";
      binary = params.binaryFrames >= FRAME_VERSION;
      server.log("debug", params.resumeSessionId ? "session resumed" : "session opened", {
        peer,
        session: got.id,
      });
      audit.session(params.resumeSessionId ? "session.resumed" : "session.opened", got);
      channel.send(resultText(id, {
        sessionId: got.id,
        environmentInfo: server.info,
        // Only who speaks the added part of the wire is told of it.
        ...(params.acknowledgesOutput && { sessionTtlMs: got.ttlMs }),
        ...(binary && { binaryFrames: FRAME_VERSION }),
      }));
    };
    if (typeof params.resumeSessionId !== "string") {
      return opened(server.registry.open(own, params.sessionTtlMs ?? undefined));
    }
    const resumed = server.registry.resume(params.resumeSessionId, own, {
      cursors: new Map(Object.entries(params.cursors)),
      takeOver: params.takeOver,
    });
    if (!(resumed instanceof Promise)) return opened(resumed);
    // An expired session's processes are still being ended: nothing else of this connection may be answered before.
    state = "resuming";
    channel.pause(); // what is in memory already is kept in `early`
    resumed.then(opened, (error: unknown) => {
      state = "new";
      audit.refused(Initialize.name, error, undefined);
      refuse(id, error, "exec");
    }).then(() => {
      const texts = early;
      early = [];
      channel.resume();
      for (const text of texts) receive(text);
    });
  };

  const answer = (id: RequestId, result: unknown) => {
    if (binary && result instanceof BytesAnswer && isFrameId(id)) {
      channel.sendFrame({ ...result.frame(), id });
    } else channel.send(resultText(id, result));
  };

  const refuse = (id: RequestId, error: unknown, area: Area) => {
    const failure = toExecServerError(error);
    if (failure.code === "INTERNAL" && !(error instanceof ExecServerError)) {
      server.log("error", "request failed unexpectedly", { peer, error: failure.message });
    }
    channel.send(errorText(id, rpcCodeOf(failure, area === "filesystem" ? "fs" : "other"), failure.message));
  };

  const accept = (work: Work) => {
    if (work.lane === "control") return start(work);
    if (work.lane === "ordinary") count(work.bytes);
    if (channel.congested || queue.length > queueHead || !hasPlace(work)) {
      queue.push(work);
      return relieve();
    }
    start(work);
  };

  const count = (bytes: number) => {
    if (!isOpen) return; // all of it was taken off at its end
    requestBytes += bytes;
    load.requestBytes += bytes;
  };

  const hasPlace = (work: Work) =>
    work.lane === "waiting"
      ? waiting < MAX_WAITING_REQUESTS
      : runningOrdinary < server.options.concurrentRequests &&
        (load.running < MAX_RUNNING_REQUESTS || runningOrdinary < FAIR_REQUESTS);

  /** Starts what may start; stops reading the socket while too much waits or the client does not read answers. */
  const relieve = () => {
    while (queueHead < queue.length && !channel.congested) {
      const work = queue[queueHead];
      if (!work || !hasPlace(work)) break;
      queueHead++;
      start(work);
    }
    if (queueHead === queue.length || queueHead > MAX_WAITING_REQUESTS) {
      queue = queue.slice(queueHead);
      queueHead = 0;
    }
    if (channel.congested && !draining) {
      draining = true;
      channel.onDrain(() => {
        draining = false;
        relieve();
      });
    }
    const full = queue.length - queueHead >= MAX_WAITING_REQUESTS || channel.flooded ||
      requestBytes >= MAX_REQUEST_BYTES ||
      requestBytes >= FAIR_BYTES && load.requestBytes >= MAX_ALL_REQUEST_BYTES;
    if (full === paused) return;
    paused = full;
    if (full) channel.pause();
    else channel.resume();
  };

  const start = (work: Work) => {
    if (work.lane === "ordinary") {
      runningOrdinary++;
      load.running++;
    }
    if (work.lane === "waiting") waiting++;
    let after: { readonly action: () => void; readonly always: boolean }[] | undefined;
    let answered = false;
    running.set(work, () => {
      answered = true;
      refuse(work.id, takenOver(), work.area);
    });
    const call: Call = {
      signal: gone.signal,
      afterAnswer: (action) => void (after ??= []).push({ action, always: false }),
      afterwards: (action) => void (after ??= []).push({ action, always: true }),
    };
    const done = (answer: () => void) => {
      running.delete(work);
      if (work.lane === "ordinary") {
        runningOrdinary--;
        load.running--;
        count(-work.bytes);
      }
      if (work.lane === "waiting") waiting--;
      if (!answered) answer();
      for (const { action, always } of after ?? []) {
        if (always || !answered) action();
      }
      if (queue.length > queueHead || channel.congested || paused) relieve();
    };
    try {
      const result = work.run(call);
      if (!(result instanceof Promise)) return done(() => answer(work.id, result));
      result.then(
        (value: unknown) => done(() => answer(work.id, value)),
        (error: unknown) => done(() => refuse(work.id, error, work.area)),
      );
    } catch (error) {
      done(() => refuse(work.id, error, work.area));
    }
  };
}

function takenOver(): ExecServerError {
  return new ExecServerError("SESSION_TAKEN_OVER", "session has been resumed by another connection", {
    rpcCode: RpcCode.invalidRequest,
  });
}

/** Before anybody has said who they are. */
function isTooBigYet(message: string | Uint8Array | undefined): boolean {
  return message !== undefined && Buffer.byteLength(message) > MAX_EARLY_MESSAGE_BYTES;
}

/** A close reason has room for 123 bytes of UTF-8 (RFC 6455, section 5.5). */
function brief(text: string): string {
  return JSON.stringify(text.slice(0, 20));
}

/** How the text of an output ends, behind its chunk: that is the last member. */
const OUTPUT_END = '"}}';

function outputText(processId: string, { seq, stream }: OutputEvent, chunk: string): string {
  return notificationText(ProcessOutput.name, { processId, seq, stream, chunk });
}

function eventText(processId: string, event: ProcessEvent, log: LogView): string {
  switch (event.type) {
    case "output":
      return outputText(processId, event, log.base64(event));
    case "exited":
      return notificationText(ProcessExited.name, {
        processId,
        seq: event.seq,
        exitCode: event.exitCode,
        sandboxDenied: false,
        ...exitToWire(event),
      });
    case "closed":
      return notificationText(ProcessClosed.name, { processId, seq: event.seq });
  }
}
