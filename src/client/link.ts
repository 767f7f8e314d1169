/** One logical connection over many sockets: reconnects, resumes its session, asks again what may be asked again. */
import { ExecServerError, toExecServerError } from "../protocol/error.ts";
import { ProcessStart } from "../protocol/process.ts";
import type { Method } from "../protocol/method.ts";
import type { Caller } from "../rpc/caller.ts";
import { CloseCode } from "../rpc/channel.ts";
import { type Deferred, deferred } from "../runtime/deferred.ts";
import { backoffMs } from "./backoff.ts";
import { connect, type Connection, type ConnectOptions, type NotificationListener } from "./connect.ts";

/** What a caller may see of the sockets below: a pause, an end. */
export type ConnectionState = "connected" | "reconnecting" | "lost";

/** Options of {@link openLink}. */
export interface RemoteOptions extends ConnectOptions {
  /** Told when the connection breaks, is back, or is given up. */
  readonly onConnectionChange?: (state: ConnectionState, reason?: ExecServerError) => void;
  /** How long the session shall live without a connection, in ms, within the server's limit. Default: the server's. */
  readonly sessionTtlMs?: number;
}

/** What the owner of a link does for it. */
export interface LinkOwner extends NotificationListener {
  /** For each open process the last event that has been read; what was only received belongs to the session still. */
  cursors(): Record<string, number>;
  /** A server that does not push what was missed: read it, before anything else is asked. */
  readMissed(caller: Caller): Promise<void>;
  /** It is over. */
  ended(reason: ExecServerError): void;
}

/** A session on a server, reachable as long as it lives. */
export interface Link extends Caller {
  readonly sessionId: string;
  /** How long it lives without a connection, in ms, when the server tells. */
  readonly sessionTtlMs: number | undefined;
  readonly info: Connection["info"];
  /** True when the server knows a capability. */
  can(capability: string): boolean;
  /** Sends a notification if there is a connection now. */
  notify(name: string, params: unknown): void;
  /** Stops and resumes the reading of the socket. */
  hold(stop: boolean): void;
  /** Ends it; the session goes on without us. */
  close(): Promise<void>;
}

/** What the reference server keeps a detached session for, in ms: the guess for servers that do not tell. */
const REFERENCE_TTL_MS = 80_000;
/** Refusals after which trying again is useless. */
const FINAL = new Set([
  "UNAUTHORIZED",
  "UNKNOWN_SESSION",
  "SESSION_TAKEN_OVER",
  "PROTOCOL_VIOLATION",
  "INVALID_PARAMS",
]);

/** Connects. @throws ExecServerError as {@link connect} does */
export async function openLink(url: string | URL, options: RemoteOptions, owner: LinkOwner): Promise<Link> {
  let current: Connection | undefined;
  let over: ExecServerError | undefined;
  let back: Deferred<void> = deferred();
  let held = false;
  let reconnecting = false;
  const closing = new AbortController();

  const end = (reason: ExecServerError) => {
    if (over) return;
    over = reason;
    current = undefined;
    owner.ended(reason);
    back.resolve(undefined);
  };

  const broken = (code: number, reason: ExecServerError) => {
    current = undefined;
    if (over || reconnecting) return; // a new socket that breaks at once is one more failed attempt
    back = deferred();
    if (code === CloseCode.takenOver) {
      return lose(
        new ExecServerError("SESSION_TAKEN_OVER", "the session has been resumed by another connection"),
      );
    }
    if (reason.message.includes("server is shutting down")) return lose(reason);
    options.onConnectionChange?.("reconnecting", reason);
    reconnecting = true;
    void reconnect();
  };

  const lose = (reason: ExecServerError) => {
    end(reason);
    options.onConnectionChange?.("lost", reason);
  };

  const reconnect = async () => {
    const deadline = performance.now() + ttlMs;
    for (let attempt = 0;; attempt++) {
      await new Promise((resolve) => setTimeout(resolve, backoffMs(attempt)));
      if (over) return;
      try {
        const resumed = await connect(
          url,
          {
            ...options,
            signal: closing.signal,
            resumeSessionId: sessionId,
            cursors: owner.cursors(),
          },
          owner,
          broken,
        );
        if (!can("outputAcknowledgement")) await owner.readMissed(resumed);
        if (!resumed.open) continue;
        current = resumed;
        reconnecting = false;
        if (held) resumed.channel.pause();
        back.resolve(undefined);
        options.onConnectionChange?.("connected");
        return;
      } catch (error) {
        const failure = toExecServerError(error);
        if (FINAL.has(failure.code)) return lose(failure);
        if (performance.now() > deadline) {
          const text = `the server could not be reached again for ${
            Math.round(ttlMs / 1000)
          } s: ${failure.message}`;
          return lose(new ExecServerError("DISCONNECTED", text, { cause: failure }));
        }
      }
    }
  };

  const first = await connect(url, options, owner, broken);
  const { sessionId, info } = first;
  const ttlMs = first.sessionTtlMs ?? REFERENCE_TTL_MS;
  const can = (capability: string) => info?.capabilities[capability] === true;
  current = first;

  const mayRepeat = (method: Method) =>
    method.repeatable || (method.name === ProcessStart.name && can("processStartId"));

  return {
    sessionId,
    sessionTtlMs: first.sessionTtlMs,
    info,
    can,
    async call(method, params, how) {
      for (;;) {
        while (!current?.open) {
          if (over) throw over;
          await abortable(back.promise, how?.signal);
        }
        try {
          return await current.call(method, params, how);
        } catch (error) {
          const lost = error instanceof ExecServerError && error.code === "DISCONNECTED";
          if (!lost) throw error;
          if (!mayRepeat(method)) {
            const text =
              `${method.name}: the connection broke before the answer; it may or may not have been done`;
            throw new ExecServerError("UNKNOWN_OUTCOME", text, { cause: error });
          }
        }
      }
    },
    notify: (name, params) => current?.notify(name, params),
    hold(stop) {
      held = stop;
      if (stop) current?.channel.pause();
      else current?.channel.resume();
    },
    async close() {
      const open = current;
      end(new ExecServerError("DISCONNECTED", "the environment was closed"));
      closing.abort(over);
      await open?.close();
    },
  };
}

/** @throws the signal's reason */
async function abortable(promise: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
  if (!signal) return await promise;
  signal.throwIfAborted();
  const aborted = deferred<void>();
  const abort = () => aborted.reject(signal.reason);
  signal.addEventListener("abort", abort);
  try {
    await Promise.race([promise, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}
