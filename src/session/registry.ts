/** All sessions of a server, by id. */
import { ExecServerError, invalidRequest, RpcCode } from "../protocol/error.ts";
import { clip } from "../protocol/quote.ts";
import { createLocalProcesses } from "../process/local.ts";
import { type Attachment, createSession, type Session } from "./session.ts";

/** How long a session without a connection lives, and a closed process stays readable, in ms. */
export const DEFAULT_SESSION_TTL_MS = 90_000;

/** The sessions of a server. */
export interface SessionRegistry {
  /** A new session for a connection. */
  open(attachment: Attachment): Session;
  /**
   * Attaches a connection to an existing session.
   * @throws ExecServerError `UNKNOWN_SESSION` (-32600); `SESSION_ATTACHED` (-32010) while another connection has it
   */
  resume(id: string, attachment: Attachment): Session;
  /** The connection of a session is gone: its time to live begins. */
  detach(session: Session): void;
  /** Ends all sessions. Resolves when every process has been reaped. */
  close(): Promise<void>;
}

/** A registry without sessions. */
export function createSessionRegistry(options: { readonly sessionTtlMs: number }): SessionRegistry {
  const sessions = new Map<string, Session>();
  const expiries = new Map<Session, NodeJS.Timeout>();

  const expire = (session: Session) => {
    expiries.delete(session);
    sessions.delete(session.id);
    void session.processes.dispose();
  };

  return {
    open(attachment) {
      const id = crypto.randomUUID();
      const session = createSession(id, createLocalProcesses(), { closedRetentionMs: options.sessionTtlMs });
      sessions.set(id, session);
      session.attach(attachment);
      return session;
    },
    resume(id, attachment) {
      const session = sessions.get(id);
      if (!session) throw invalidRequest(`unknown session id ${clip(id)}`);
      if (session.attached) {
        throw new ExecServerError(
          "SESSION_ATTACHED",
          `session ${id} is already attached to another connection`,
          {
            rpcCode: RpcCode.sessionAttached,
          },
        );
      }
      clearTimeout(expiries.get(session));
      expiries.delete(session);
      session.attach(attachment);
      return session;
    },
    detach(session) {
      session.detach();
      expiries.set(session, setTimeout(expire, options.sessionTtlMs, session));
    },
    async close() {
      for (const timer of expiries.values()) clearTimeout(timer);
      expiries.clear();
      const all = [...sessions.values()];
      sessions.clear();
      await Promise.all(all.map((session) => session.processes.dispose()));
    },
  };
}
