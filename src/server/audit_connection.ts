/** What one connection does, for the audit log. */
import { toExecServerError } from "../protocol/error.ts";
import { clip } from "../protocol/quote.ts";
import type { Frame } from "../rpc/frame.ts";
import type { Call, Route } from "../rpc/route.ts";
import type { Session } from "../session/session.ts";
import { type Audit, sessionDigest } from "./audit.ts";
import type { AuditEventName } from "./audit_events.ts";
import { recorder, refusedPath } from "./audit_requests.ts";

/** Answers a request. */
type Run = (call: Call) => unknown;

/** A connection, as the audit log sees it. */
export interface ConnectionAudit {
  /** It is gone. @param reason why we have ended it */
  closed(code: number, reason: string | undefined): void;
  /** Something has happened to its session. */
  session(event: Extract<AuditEventName, `session.${string}`>, session: Session): void;
  /** A message could not be read. Nothing of it is recorded: nobody knows what it is. */
  malformed(session: Session | undefined): void;
  /** A request was refused before anything was done for it. */
  refused(method: string, error: unknown, session: Session | undefined): void;
  /**
   * Decodes a request, as {@link Route.prepare} or {@link Route.prepareFrame} does; what comes of it is recorded.
   * @throws what that throws
   */
  prepare(route: Route, params: unknown, session: Session | undefined, frame?: Frame): Run;
}

const NOT_RECORDED: ConnectionAudit = {
  closed() {},
  malformed() {},
  session() {},
  refused() {},
  prepare: (route, params, _session, frame) => decoded(route, params, frame),
};

/** Begins to record a connection. */
export function auditConnection(audit: Audit, peer: string): ConnectionAudit {
  if (!audit.enabled) return NOT_RECORDED;
  const connection = audit.nextConnection();
  const began = performance.now();
  audit.record({ event: "connection.opened", connection, peer });

  const ofSession = (session: Session | undefined) => session && { session: sessionDigest(session.id) };
  const refused = (method: string, error: unknown, session: Session | undefined, path?: string) => {
    const { code } = toExecServerError(error);
    if (!isRefusal(code)) return;
    audit.refused({
      event: "request.refused",
      connection,
      ...ofSession(session),
      method: clip(method),
      code,
      ...(path !== undefined && { path }),
    });
  };

  return {
    closed(code, reason) {
      const durationMs = Math.round(performance.now() - began);
      const why = reason !== undefined && { reason };
      audit.record({ event: "connection.closed", connection, peer, code, ...why, durationMs });
    },
    malformed: (session) => audit.refused({ event: "message.refused", connection, ...ofSession(session) }),
    session: (event, { id }) => audit.record({ event, connection, session: sessionDigest(id) }),
    refused,
    prepare(route, params, session, frame) {
      const run = decoded(route, params, frame);
      if (!session) return run; // refused before it runs
      const { name } = route.method;
      const record = recorder(audit, { connection, session, method: route.method, params });
      return (call) => {
        if (record) {
          try {
            audit.requireWritable();
          } catch (error) {
            refused(name, error, session, refusedPath(route.method, params));
            throw error;
          }
        }
        const failed = (error: unknown) =>
          record
            ? record(toExecServerError(error).code)
            : refused(name, error, session, refusedPath(route.method, params));
        try {
          const result = run(call);
          // Seen, not waited for: the answer goes out as it does without us.
          if (result instanceof Promise) void result.then(() => record?.("ok"), failed);
          else record?.("ok");
          return result;
        } catch (error) {
          failed(error);
          throw error;
        }
      };
    },
  };
}

function decoded(route: Route, params: unknown, frame: Frame | undefined): Run {
  return frame && route.prepareFrame ? route.prepareFrame(frame) : route.prepare(params);
}

/** Errors of the operating system are failures, unless it forbids something. */
function isRefusal(code: string): boolean {
  if (code === "DISCONNECTED" || code === "SESSION_TAKEN_OVER") return false;
  return code === "EACCES" || code === "EPERM" || !/^E[A-Z0-9]+$/.test(code);
}
