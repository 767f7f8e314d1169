/** One connection of a client: handshake, order of checks, queues (protocol reference, sections 4 to 7). */
import type { WebSocket } from "ws";
import { ExecServerError, invalidRequest, rpcCodeOf, toExecServerError } from "../protocol/error.ts";
import { Initialize, Initialized } from "../protocol/initialize.ts";
import { MAX_WAITING_REQUESTS } from "../protocol/limits.ts";
import { type Area, decodeParams } from "../protocol/method.ts";
import { ProcessClosed, ProcessExited, ProcessOutput } from "../protocol/process.ts";
import { clip } from "../protocol/quote.ts";
import { encodeBase64 } from "../process/base64.ts";
import type { ProcessEvent } from "../process/trait.ts";
import { CloseCode, socketChannel } from "../rpc/channel.ts";
import { errorText, notificationText, parseMessage, type RequestId, resultText } from "../rpc/envelope.ts";
import type { Call, Lane } from "../rpc/route.ts";
import type { Attachment, Session } from "../session/session.ts";
import type { Server } from "./server.ts";

/** A request that is ready to run. */
interface Work {
  readonly id: RequestId;
  readonly area: Area;
  readonly lane: Lane;
  readonly run: (call: Call) => unknown;
}

/**
 * Serves one client until its connection ends; then its session is detached.
 * @param peer the client's address and port, for messages and logs
 */
export function serveConnection(server: Server, socket: WebSocket, peer: string): void {
  let session: Session | undefined;
  let ready = false;
  let runningOrdinary = 0;
  let waiting = 0;
  let queue: Work[] = [];
  let queueHead = 0;
  let paused = false;
  let draining = false;
  const gone = new AbortController();

  const channel = socketChannel(socket, {
    message(text) {
      if (text === undefined) return malformed("invalid unicode code point");
      receive(text);
    },
    closed(code, reason) {
      server.log("debug", "connection closed", { peer, code, reason: clip(reason) });
      queue = [];
      queueHead = 0;
      gone.abort(new ExecServerError("DISCONNECTED", "the connection is gone"));
      if (session) server.registry.detach(session);
      server.connections.delete(shutdown);
    },
  });
  const shutdown = () => channel.close(CloseCode.goingAway, "server is shutting down");
  server.connections.add(shutdown);

  const attachment: Attachment = {
    push: (processId, event) => channel.send(eventText(processId, event)),
    get congested() {
      return channel.congested;
    },
    onDrain: (action) => channel.onDrain(action),
  };

  const malformed = (problem: string) => {
    const text = `failed to parse websocket JSON-RPC message from exec-server websocket ${peer}: ${problem}`;
    channel.send(errorText(-1, -32600, text));
  };

  const violation = (reason: string) => {
    server.log("warn", "protocol violation", { peer, reason });
    channel.close(CloseCode.protocolViolation, reason);
  };

  const receive = (text: string) => {
    let message;
    try {
      message = parseMessage(text);
    } catch (error) {
      return malformed(error instanceof Error ? clip(error.message) : "unreadable");
    }
    switch (message.kind) {
      case "request":
        return request(message.id, message.method, message.params);
      case "notification":
        if (message.method !== Initialized.name) {
          return violation(`unknown notification ${brief(message.method)}`);
        }
        if (!session) return violation("initialized before a successful initialize");
        ready = true;
        return;
      default:
        return violation("answer to a request that was not sent");
    }
  };

  const request = (id: RequestId, method: string, params: unknown) => {
    try {
      if (method === Initialize.name) return initialize(id, params);
      const route = (session ? server.routesOf(session) : server.declared).get(method);
      if (!route) {
        throw new ExecServerError(
          "METHOD_NOT_FOUND",
          `exec-server stub does not implement \`${clip(method)}\` yet`,
          { rpcCode: -32601 },
        );
      }
      const run = route.prepare(params);
      const { area } = route.method;
      if (!session) throw invalidRequest(`client must call initialize before using ${area} methods`);
      if (!ready) throw invalidRequest(`client must send initialized before using ${area} methods`);
      accept({ id, area, lane: route.lane, run });
    } catch (error) {
      refuse(id, error, "exec");
    }
  };

  const initialize = (id: RequestId, rawParams: unknown) => {
    const params = decodeParams(Initialize, rawParams);
    if (session) throw invalidRequest("initialize may only be sent once per connection");
    const resumed = params.resumeSessionId;
    session = typeof resumed === "string"
      ? server.registry.resume(resumed, attachment)
      : server.registry.open(attachment);
    server.log("debug", resumed ? "session resumed" : "session opened", { peer, session: session.id });
    channel.send(resultText(id, { sessionId: session.id, environmentInfo: server.info }));
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
    if (channel.congested || queue.length > queueHead || !hasPlace(work)) {
      queue.push(work);
      return relieve();
    }
    start(work);
  };

  const hasPlace = (work: Work) =>
    work.lane === "waiting"
      ? waiting < MAX_WAITING_REQUESTS
      : runningOrdinary < server.options.concurrentRequests;

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
    const full = queue.length - queueHead >= MAX_WAITING_REQUESTS || channel.flooded;
    if (full !== paused) {
      paused = full;
      if (full) channel.pause();
      else channel.resume();
    }
  };

  const start = (work: Work) => {
    if (work.lane === "ordinary") runningOrdinary++;
    if (work.lane === "waiting") waiting++;
    let after: (() => void)[] | undefined;
    const call: Call = { signal: gone.signal, afterAnswer: (action) => void (after ??= []).push(action) };
    const done = (answer: () => void) => {
      if (work.lane === "ordinary") runningOrdinary--;
      if (work.lane === "waiting") waiting--;
      answer();
      for (const action of after ?? []) action();
      if (queue.length > queueHead || channel.congested || paused) relieve();
    };
    try {
      const result = work.run(call);
      if (!(result instanceof Promise)) return done(() => channel.send(resultText(work.id, result)));
      result.then(
        (value: unknown) => done(() => channel.send(resultText(work.id, value))),
        (error: unknown) => done(() => refuse(work.id, error, work.area)),
      );
    } catch (error) {
      done(() => refuse(work.id, error, work.area));
    }
  };
}

/** A close reason has room for 123 bytes of UTF-8 (RFC 6455, section 5.5). */
function brief(text: string): string {
  return JSON.stringify(text.slice(0, 20));
}

function eventText(processId: string, event: ProcessEvent): string {
  switch (event.type) {
    case "output":
      return notificationText(ProcessOutput.name, {
        processId,
        seq: event.seq,
        stream: event.stream,
        chunk: encodeBase64(event.bytes),
      });
    case "exited":
      return notificationText(ProcessExited.name, {
        processId,
        seq: event.seq,
        exitCode: event.exitCode,
        sandboxDenied: false,
      });
    case "closed":
      return notificationText(ProcessClosed.name, { processId, seq: event.seq });
  }
}
