/** All sessions of a server, by id: who may have one, and how long it waits for a connection. */
import { validate } from "@std/uuid";
import { createLocalProcesses } from "../process/local.ts";
import type { LocalProcess } from "../process/local_process.ts";
import type { Retention } from "../process/retention.ts";
import { ExecServerError, invalidRequest, limitReached, RpcCode } from "../protocol/error.ts";
import { clip } from "../protocol/quote.ts";
import { createProcessQuota, NO_LIMITS, type SessionLimits } from "./limits.ts";
import { type Attachment, createSession, type Session } from "./session.ts";

/** How long a session without a connection lives, and a closed process stays readable, in ms. */
export const DEFAULT_SESSION_TTL_MS = 90_000;
/** The longest that a client may ask for, in ms: a day. */
export const DEFAULT_MAX_SESSION_TTL_MS = 86_400_000;
/** A session that changes hands more often than this within {@link FLAPPING_MS} is refused to newcomers for a while. */
const MAX_TAKE_OVERS = 50;
const FLAPPING_MS = 10_000;

/** How a connection wants a session. */
export interface ResumeOptions {
  /** For each process the connection knows: the last event it has. */
  readonly cursors: ReadonlyMap<string, number>;
  /** False: refuse while another connection is attached. */
  readonly takeOver: boolean;
}

/** Numbers and rules of a registry. */
export interface RegistryOptions {
  readonly sessionTtlMs: number;
  readonly maxSessionTtlMs: number;
  /** False refuses every take-over, as the reference server does (`--no-take-over`). */
  readonly takeOver: boolean;
  readonly retention: Retention;
  /** Without them there are none. */
  readonly limits?: SessionLimits | undefined;
}

/** The sessions of a server. */
export interface SessionRegistry {
  /**
   * A new session for a connection.
   * @param ttlMs what the client asks for; cut to the operator's limit
   * @throws ExecServerError `LIMIT_REACHED` when there are too many sessions
   */
  open(attachment: Attachment, ttlMs: number | undefined): Session;
  /**
   * Attaches a connection to an existing session; a connection that has it is evicted.
   * @throws ExecServerError `UNKNOWN_SESSION` (-32600), after everything of an expired session has been killed;
   * `SESSION_ATTACHED` (-32010) when it may not be taken over
   */
  resume(id: string, attachment: Attachment, options: ResumeOptions): Session | Promise<Session>;
  /**
   * A process that runs, or is kept, in a session; the session does not change hands, nor live longer.
   * @throws ExecServerError `UNKNOWN_SESSION`, or `INVALID_REQUEST` when it has no such process
   */
  find(sessionId: string, processId: string): LocalProcess;
  /** The connection of a session is gone: the session's time to live begins. */
  detach(session: Session, attachment: Attachment): void;
  /** Ends all sessions, SIGTERM first when there is a grace. Resolves when every process has been reaped. */
  close(options?: { readonly graceMs?: number }): Promise<void>;
}

/**
 * A registry without sessions.
 * @param expired called when a session's time to live is over
 */
export function createSessionRegistry(
  options: RegistryOptions,
  expired: (session: Session) => void = () => {},
): SessionRegistry {
  const { limits = NO_LIMITS } = options;
  const quota = createProcessQuota(limits);
  const sessions = new Map<string, Session>();
  const deadlines = new Map<Session, { readonly at: number; readonly timer: NodeJS.Timeout }>();
  const ending = new Map<string, Promise<void>>();
  const takeOvers = new WeakMap<Session, number[]>();

  const end = (session: Session, graceMs = 0): Promise<void> => {
    clearTimeout(deadlines.get(session)?.timer);
    deadlines.delete(session);
    sessions.delete(session.id);
    session.observations.endAll();
    const ended = session.processes.dispose({ graceMs }).finally(() => ending.delete(session.id));
    ending.set(session.id, ended);
    return ended;
  };

  const expire = (session: Session): Promise<void> => {
    expired(session);
    return end(session);
  };

  /** Room for one more session: the oldest without a connection and without processes has to go. */
  const requireRoom = () => {
    if (sessions.size < limits.sessions) return;
    for (const session of deadlines.keys()) { // in the order in which they lost their connection
      if (!session.processes.isEmpty) continue;
      void expire(session);
      return;
    }
    throw limitReached(`this server has ${limits.sessions} sessions already`, "--max-sessions", "resume one");
  };

  const unknown = (id: string) =>
    new ExecServerError("UNKNOWN_SESSION", `unknown session id ${clip(id)}`, {
      rpcCode: RpcCode.invalidRequest,
    });

  const requireFree = (session: Session, wanted: ResumeOptions) => {
    if (!session.attachment) return;
    const now = performance.now();
    const recent = (takeOvers.get(session) ?? []).filter((at) => at > now - FLAPPING_MS);
    if (!options.takeOver || !wanted.takeOver || recent.length >= MAX_TAKE_OVERS) {
      const text = `session ${session.id} is already attached to another connection`;
      throw new ExecServerError("SESSION_ATTACHED", text, { rpcCode: RpcCode.sessionAttached });
    }
    takeOvers.set(session, [...recent, now]);
  };

  return {
    open(attachment, ttlMs) {
      requireRoom();
      const id = crypto.randomUUID();
      const session = createSession(id, createLocalProcesses(options.retention, quota), {
        ttlMs: Math.min(
          ttlMs ?? options.sessionTtlMs,
          Math.max(options.maxSessionTtlMs, options.sessionTtlMs),
        ),
        maxObservations: limits.observations,
      });
      sessions.set(id, session);
      session.attach(attachment, new Map());
      return session;
    },
    resume(id, attachment, wanted) {
      const session = validate(id) ? sessions.get(id) : undefined;
      if (!session) {
        const last = ending.get(id);
        if (last) return last.then(() => Promise.reject(unknown(id)));
        throw unknown(id);
      }
      const deadline = deadlines.get(session);
      // The deadline decides, not whether its timer has fired yet.
      if (deadline && performance.now() >= deadline.at) {
        return expire(session).then(() => Promise.reject(unknown(id)));
      }
      requireFree(session, wanted);
      clearTimeout(deadline?.timer);
      deadlines.delete(session);
      session.attach(attachment, wanted.cursors);
      return session;
    },
    find(sessionId, processId) {
      const session = sessions.get(sessionId);
      if (!session || performance.now() >= (deadlines.get(session)?.at ?? Infinity)) throw unknown(sessionId);
      const process = session.processes.get(processId);
      if (!process) throw invalidRequest(`unknown process id ${clip(processId)}`);
      if (process.starting) throw invalidRequest(`process id ${clip(processId)} is starting`);
      return process;
    },
    detach(session, attachment) {
      if (session.attachment !== attachment) return;
      session.detach(attachment);
      if (!sessions.has(session.id)) return;
      const timer = setTimeout(() => void expire(session), session.ttlMs);
      deadlines.set(session, { at: performance.now() + session.ttlMs, timer });
    },
    async close({ graceMs = 0 } = {}) {
      await Promise.all([...sessions.values()].map((session) => end(session, graceMs)));
      await Promise.all(ending.values());
    },
  };
}
