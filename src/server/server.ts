/** What all connections of a server share. */
import { infoRoutes, wireInfo } from "../info/handler.ts";
import { localInfo } from "../info/local.ts";
import { localFiles } from "../files/local.ts";
import { fileRoutes, type SandboxedFiles } from "../files/handler.ts";
import { createFileHandles, type FileHandles } from "../files/handles.ts";
import { createSandboxedFiles } from "../files/sandboxed.ts";
import { type ProcessHooks, processRoutes } from "../process/handler.ts";
import { createLocalProcesses } from "../process/local.ts";
import { defaultRetention, type Retention } from "../process/retention.ts";
import { DEFAULT_CONCURRENT_REQUESTS } from "../protocol/limits.ts";
import { createLoad, type Load } from "../rpc/load.ts";
import type { Route } from "../rpc/route.ts";
import { countsBytesRead } from "../runtime/abilities.ts";
import { giveBackMemory } from "../runtime/give_back.ts";
import { createEnforcement, type Enforcement } from "../sandbox/enforcement.ts";
import type { Floor } from "../sandbox/floor.ts";
import {
  createSessionRegistry,
  DEFAULT_MAX_SESSION_TTL_MS,
  DEFAULT_SESSION_TTL_MS,
  type SessionRegistry,
} from "../session/registry.ts";
import type { Session } from "../session/session.ts";
import { type Audit, NO_AUDIT, sessionDigest } from "./audit.ts";
import { createIncoming, type Incoming } from "./incoming.ts";
import { DEFAULT_LIMITS, type Limits } from "./limits.ts";
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
  /** Time that processes have to end by themselves when the server stops, in ms. Default 2,000. */
  readonly shutdownGraceMs: number;
  /** Undelivered output: how much, where, and what when it is too much. */
  readonly retention: Retention;
  /** What all clients may have together. */
  readonly limits: Limits;
  /** The most that any request may do. Without it: what the request asks for. */
  readonly floor?: Floor | undefined;
  /** Files and folders that no sandbox may read, whatever its policy says: what a program could connect to us with. */
  readonly secrets?: readonly string[] | undefined;
  /** The audit log, which no sandbox may change. */
  readonly auditLog?: string | undefined;
}

/** The defaults. */
export const DEFAULT_SERVER_OPTIONS: ServerOptions = {
  concurrentRequests: DEFAULT_CONCURRENT_REQUESTS,
  sessionTtlMs: DEFAULT_SESSION_TTL_MS,
  maxSessionTtlMs: DEFAULT_MAX_SESSION_TTL_MS,
  takeOver: true,
  shutdownGraceMs: 2_000,
  retention: defaultRetention(),
  limits: DEFAULT_LIMITS,
};

/** The shared state. */
export interface Server {
  readonly options: ServerOptions;
  readonly log: Log;
  readonly audit: Audit;
  readonly registry: SessionRegistry;
  /** What sandboxes are made with. */
  readonly enforcement: Enforcement;
  /** The helpers of sandboxed file requests. */
  readonly sandboxedFiles: SandboxedFiles;
  /** The files that connections have open. */
  readonly fileHandles: FileHandles;
  /** `environmentInfo` of the handshake. */
  readonly info: ReturnType<typeof wireInfo>;
  /** Every method, for the checks that come before there is a session. */
  readonly declared: ReadonlyMap<string, Route>;
  /** Every method, bound to a session. */
  routesOf(session: Session): ReadonlyMap<string, Route>;
  /** For each open connection the function that closes it. */
  readonly connections: Set<() => void>;
  /** To be called when there is no connection (any more): soon it may have less memory. */
  idle(): void;
  /** What all of them have under way. */
  readonly load: Load;
  /** The messages that they are sending; undefined where nobody can tell. */
  readonly incoming: Incoming | undefined;
}

function hooksOf(session: Session, registry: SessionRegistry): ProcessHooks {
  return {
    started: (process) => session.watch(process),
    delivered: (processId, seq) => session.acknowledge(processId, seq),
    answered: (processId, seq, chunks) => session.answered(processId, seq, chunks),
    observe: (request) =>
      session.observations.begin(request, () => registry.find(request.sessionId, request.processId)),
    observing: (name) => session.observations.answered(name),
    observed: (name) => session.observations.get(name),
    unobserve: (name) => session.observations.end(name),
  };
}

/** For the table of methods that only tells which there are. */
const NO_HOOKS: ProcessHooks = {
  started() {},
  delivered() {},
  answered() {},
  observe() {
    throw new Error("unreachable: nothing is handled before there is a session");
  },
  observing() {},
  observed: () => undefined,
  unobserve() {},
};

/** How long a server without a connection waits before it gives memory back, in ms: the next one may come at once. */
const IDLE_MS = 200;

/** Makes the shared state. */
export async function createServer(
  options: ServerOptions,
  log: Log,
  audit: Audit = NO_AUDIT,
): Promise<Server> {
  const info = localInfo();
  const enforcement = createEnforcement({
    floor: options.floor,
    secrets: options.secrets,
    auditLog: options.auditLog,
  });
  const sandboxedFiles = createSandboxedFiles(enforcement);
  const fileHandles = createFileHandles(options.limits.fileHandles);
  const shared = [...infoRoutes(info), ...fileRoutes(localFiles(), sandboxedFiles, fileHandles)];
  const table = (own: Route[]) => new Map([...shared, ...own].map((route) => [route.method.name, route]));
  const bound = new WeakMap<Session, ReadonlyMap<string, Route>>();
  const connections = new Set<() => void>();
  let idleTimer: NodeJS.Timeout | undefined;
  const isBounded = countsBytesRead || options.limits.boundIncoming;
  const registry = createSessionRegistry(
    options,
    ({ id }) => audit.record({ event: "session.expired", session: sessionDigest(id) }),
  );
  return {
    options,
    log,
    audit,
    registry,
    enforcement,
    sandboxedFiles,
    fileHandles,
    info: wireInfo(await info.get()),
    declared: table(processRoutes(createLocalProcesses(options.retention), NO_HOOKS, enforcement)),
    routesOf(session) {
      let routes = bound.get(session);
      if (!routes) {
        routes = table(processRoutes(session.processes, hooksOf(session, registry), enforcement));
        bound.set(session, routes);
      }
      return routes;
    },
    connections,
    idle() {
      clearTimeout(idleTimer);
      idleTimer = setTimeout(() => {
        if (connections.size === 0) void giveBackMemory();
      }, IDLE_MS);
      idleTimer.unref();
    },
    load: createLoad(),
    incoming: isBounded ? createIncoming(options.limits.messageBytes) : undefined,
  };
}
