/** Answers `process/*` by calling the local processes of a session. */
import type * as v from "valibot";
import { nativePathText, pathUri } from "../files/native_path.ts";
import { ExecServerError, invalidParams, invalidRequest } from "../protocol/error.ts";
import {
  ProcessCloseStdin,
  ProcessList,
  ProcessObserve,
  ProcessRead,
  ProcessResize,
  ProcessSignal,
  ProcessStart,
  ProcessTerminate,
  ProcessUnobserve,
  ProcessWrite,
} from "../protocol/process.ts";
import { clip } from "../protocol/quote.ts";
import { type Route, route } from "../rpc/route.ts";
import type { Enforcement } from "../sandbox/enforcement.ts";
import { encodeBase64 } from "../protocol/base64.ts";
import type { LocalProcesses } from "./local.ts";
import type { LocalProcess } from "./local_process.ts";
import { type Observation, type ObserveRequest, onlyObserved } from "./observation.ts";
import type { LogView } from "./output_log.ts";
import { readLog } from "./read.ts";
import type { ResourceLimits } from "./trait.ts";
import { writeOfFrame } from "./wire_bytes.ts";
import { exitToWire } from "./wire_exit.ts";

/** What a session wants to know of the requests about its processes. */
export interface ProcessHooks {
  /** The answer to `process/start` is out: from now on notifications may go. */
  started(process: LocalProcess): void;
  /** The client says that it has a process's events up to `seq`. */
  delivered(processId: string, seq: number): void;
  /** The client has been answered a process's events up to `seq`. */
  answered(
    processId: string,
    seq: number,
    chunks: readonly { readonly seq: number; readonly chunk: string }[],
  ): void;
  /** Observes a process of another session. @throws ExecServerError when it may not, or there is none */
  observe(request: ObserveRequest): Observation;
  /** The answer to that is out: from now on notifications may go. */
  observing(name: string): void;
  /** What is observed under a name. */
  observed(name: string): Observation | undefined;
  /** Ends an observation, if there is one of this name. */
  unobserve(name: string): void;
}

/** The routes of a session. */
export function processRoutes(
  processes: LocalProcesses,
  hooks: ProcessHooks,
  enforcement: Enforcement,
): Route[] {
  /** A process that the client may do something to. */
  const own = (id: string): LocalProcess | undefined => {
    if (hooks.observed(id)) throw onlyObserved(id);
    return processes.get(id);
  };
  const logOf = (id: string): LogView => {
    const log = hooks.observed(id)?.log ?? processes.get(id)?.log;
    if (!log) throw invalidRequest(`unknown process id ${clip(id)}`);
    if (processes.get(id)?.starting) throw invalidRequest(`process id ${clip(id)} is starting`);
    return log;
  };
  return [
    route(ProcessStart, async (params, call) => {
      if (params.argv.length === 0) throw invalidParams("argv must not be empty");
      if (params.networkProxy) {
        throw invalidRequest("this server has no network proxy: send `networkProxy: null`");
      }
      requireNoManagedNetwork(params);
      if (hooks.observed(params.processId)) {
        throw invalidRequest(`process ${clip(params.processId)} already exists`);
      }
      const process = await processes.start({
        id: params.processId,
        argv: params.argv,
        cwd: cwdOf(params.cwd),
        env: params.env,
        envPolicy: params.envPolicy,
        pipeStdin: params.pipeStdin,
        tty: params.tty,
        size: params.size,
        timeoutMs: params.timeoutMs,
        timeoutGraceMs: params.timeoutGraceMs,
        limits: params.limits && limitsOf(params.limits),
        arg0: params.arg0,
        startId: params.startId,
        enforced: { enforcement, asked: params.sandbox },
      });
      call.afterwards(() => hooks.started(process));
      return { processId: params.processId, sandboxType: process.sandboxed ? "linuxSeccomp" : "none" };
    }),
    route(ProcessRead, async (params, call) => {
      const log = logOf(params.processId);
      const afterSeq = params.afterSeq ?? 0;
      hooks.delivered(params.processId, afterSeq);
      const window = {
        afterSeq,
        maxBytes: params.maxBytes ?? undefined,
        waitMs: params.waitMs ?? undefined,
        signal: call.signal,
      };
      const read = await readLog(
        log,
        window,
        ({ seq, stream, bytes }) => ({ seq, stream, chunk: encodeBase64(bytes) }),
      );
      call.afterAnswer(() => hooks.answered(params.processId, read.nextSeq - 1, read.chunks));
      // An answer that was cut short must not tell of an exit whose number comes later.
      const cut = typeof params.maxBytes !== "number" && read.nextSeq <= log.lastSeq; // null is no limit, too
      const exited = log.exitSeq !== undefined && (!cut || log.exitSeq < read.nextSeq);
      return {
        chunks: [...read.chunks],
        nextSeq: read.nextSeq,
        exited,
        exitCode: exited ? log.exit?.exitCode ?? null : null,
        closed: log.closed && !cut,
        failure: null,
        sandboxDenied: false,
        ...(exited && exitToWire(log.exit)),
        ...(read.lost && { lost: read.lost }),
      };
    }, "waiting"),
    route(
      ProcessWrite,
      async (params) => {
        if (params.writeId === "") throw invalidParams("writeId must not be empty");
        const process = own(params.processId);
        return { status: process ? await process.write(params.chunk, params.writeId) : "unknownProcess" };
      },
      "waiting",
      writeOfFrame,
    ),
    route(ProcessCloseStdin, async (params) => {
      const process = own(params.processId);
      return { status: process ? await process.closeStdin(params) : "unknownProcess" };
    }, "waiting"),
    route(ProcessList, () => ({
      processes: processes.summaries().map((one) => ({
        processId: one.id,
        pid: one.pid ?? null,
        argv: [...one.argv],
        cwd: one.cwd === undefined ? null : pathUri(one.cwd),
        tty: one.tty ?? null,
        state: one.state,
        exitCode: one.exit?.exitCode ?? null,
        ...exitToWire(one.exit),
        startedAtMs: one.startedAtMs,
        outputBytes: one.outputBytes ?? null,
        usage: one.usage ?? null,
      })),
    }), "control"),
    route(ProcessSignal, async (params) => {
      await own(params.processId)?.signal(params.signal);
      return {};
    }, "control"),
    route(ProcessResize, async (params) => {
      const process = own(params.processId);
      if (!process) throw invalidRequest(`unknown process id ${clip(params.processId)}`);
      await process.resize(params.size);
      return {};
    }, "control"),
    route(ProcessTerminate, async (params) => {
      const { graceMs } = params;
      if (typeof graceMs !== "number" && hooks.observed(params.processId)?.log.closed) {
        hooks.unobserve(params.processId); // as below: I have everything
        return { running: false };
      }
      const process = own(params.processId);
      if (!process) return { running: false };
      if (typeof graceMs === "number") {
        const { wasRunning, survivors } = await process.terminate({ graceMs });
        return { running: wasRunning, survivors: [...survivors] };
      }
      // As the reference: kill, answer, and after `closed` it only means: I have everything.
      if (process.log.closed) {
        hooks.delivered(process.id, process.log.lastSeq);
        return { running: false };
      }
      const running = process.starting || !process.log.exit;
      process.terminate().catch(() => {});
      return { running };
    }, "control"),
    route(ProcessObserve, (params, call) => {
      const { sessionId, processId } = params;
      const name = params.as ?? processId;
      const request = { sessionId, processId, name, afterSeq: params.afterSeq ?? undefined };
      const { argv, tty, firstSeq, log } = hooks.observe(request);
      call.afterwards(() => hooks.observing(name));
      return {
        processId: name,
        argv: [...argv],
        tty,
        firstSeq,
        exitCode: log.exit?.exitCode ?? null,
        ...exitToWire(log.exit),
      };
    }, "control"),
    route(ProcessUnobserve, (params) => {
      hooks.unobserve(params.processId);
      return {};
    }, "control"),
  ];
}

function limitsOf(
  limits: { readonly [Name in keyof ResourceLimits]: number | null | undefined },
): ResourceLimits {
  return Object.fromEntries(Object.entries(limits).filter(([, limit]) => limit !== null));
}

/** A sandbox whose network is to be let through in part: it would have all of it. Without any it holds. */
function requireNoManagedNetwork(
  { sandbox, enforceManagedNetwork, managedNetwork }: v.InferOutput<typeof ProcessStart.params>,
): void {
  const { permissions } = sandbox ?? {};
  const isOn = permissions?.type === "managed" && permissions.network === "enabled";
  if (isOn && (enforceManagedNetwork || managedNetwork)) {
    throw invalidRequest("this server has no managed network: a sandbox has the network on or off");
  }
}

function cwdOf(url: URL): string {
  try {
    return nativePathText(url);
  } catch (error) {
    if (!(error instanceof ExecServerError)) throw error;
    throw invalidParams(
      `cwd URI \`${clip(url.href)}\` is not valid on this exec-server host: ${error.message}`,
    );
  }
}
