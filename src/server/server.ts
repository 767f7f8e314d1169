/** What all connections of a server share. */
import { infoRoutes, wireInfo } from "../info/handler.ts";
import { localInfo } from "../info/local.ts";
import { localFiles } from "../files/local.ts";
import { fileRoutes } from "../files/handler.ts";
import { type ProcessHooks, processRoutes } from "../process/handler.ts";
import { createLocalProcesses } from "../process/local.ts";
import { defaultRetention, type Retention } from "../process/retention.ts";
import { DEFAULT_CONCURRENT_REQUESTS } from "../protocol/limits.ts";
import type { Route } from "../rpc/route.ts";
import {
  createSessionRegistry,
  DEFAULT_MAX_SESSION_TTL_MS,
  DEFAULT_SESSION_TTL_MS,
  type SessionRegistry,
} from "../session/registry.ts";
import type { Session } from "../session/session.ts";
import type { Log } from "./log.ts";

/** Numbers an operator may change. */
export interface ServerOptions {
  /** Ordinary requests of one connection that run at the same time. Default 64. */
  readonly concurrentRequests: number;
  /** Life of a session without a connection, in ms. Default 90,000. */
  readonly sessionTtlMs: number;
  /** The longest life that a client may ask for, in ms. Default a day. */
  readonly maxSessionTtlMs: number;
  /** False: a session that is attached cannot be resumed. Default true. */
  readonly takeOver: boolean;
  /** Undelivered output: how much, where, and what when it is too much. */
  readonly retention: Retention;
}

/** The defaults. */
export const DEFAULT_SERVER_OPTIONS: ServerOptions = {
  concurrentRequests: DEFAULT_CONCURRENT_REQUESTS,
  sessionTtlMs: DEFAULT_SESSION_TTL_MS,
  maxSessionTtlMs: DEFAULT_MAX_SESSION_TTL_MS,
  takeOver: true,
  retention: defaultRetention(),
};

/** The shared state. */
export interface Server {
  readonly options: ServerOptions;
  readonly log: Log;
  readonly registry: SessionRegistry;
  /** `environmentInfo` of the handshake. */
  readonly info: ReturnType<typeof wireInfo>;
  /** Every method, for the checks that come before there is a session. */
  readonly declared: ReadonlyMap<string, Route>;
  /** Every method, bound to a session. */
  routesOf(session: Session): ReadonlyMap<string, Route>;
  /** For each open connection the function that closes it. */
  readonly connections: Set<() => void>;
}

function hooksOf(session: Session): ProcessHooks {
  return {
    started: (process) => session.watch(process),
    delivered: (process, seq) => session.acknowledge(process.id, seq),
    answered: (process, seq, chunks) => session.answered(process, seq, chunks),
  };
}

/** Makes the shared state. */
export async function createServer(options: ServerOptions, log: Log): Promise<Server> {
  const info = localInfo();
  const shared = [...infoRoutes(info), ...fileRoutes(localFiles())];
  const table = (own: Route[]) => new Map([...shared, ...own].map((route) => [route.method.name, route]));
  const bound = new WeakMap<Session, ReadonlyMap<string, Route>>();
  return {
    options,
    log,
    registry: createSessionRegistry(options),
    info: wireInfo(await info.get()),
    declared: table(
      processRoutes(createLocalProcesses(options.retention), { started() {}, delivered() {}, answered() {} }),
    ),
    routesOf(session) {
      let routes = bound.get(session);
      if (!routes) bound.set(session, routes = table(processRoutes(session.processes, hooksOf(session))));
      return routes;
    },
    connections: new Set(),
  };
}
