/** Answers `process/*` by calling the local processes of a session. */
import { nativePathText } from "../files/native_path.ts";
import { ExecServerError, invalidParams, invalidRequest } from "../protocol/error.ts";
import {
  ProcessCloseStdin,
  ProcessList,
  ProcessRead,
  ProcessSignal,
  ProcessStart,
  ProcessTerminate,
  ProcessWrite,
} from "../protocol/process.ts";
import { clip } from "../protocol/quote.ts";
import { requireNoSandbox } from "../protocol/sandbox.ts";
import { type Route, route } from "../rpc/route.ts";
import { encodeBase64 } from "./base64.ts";
import { type LocalProcess, type LocalProcesses, summaryOf } from "./local.ts";
import { readLog } from "./read.ts";

/** What a session wants to know of the requests about its processes. */
export interface ProcessHooks {
  /** The answer to `process/start` is out: from now on notifications may go. */
  started(process: LocalProcess): void;
  /** The client says that it has a process's events up to `seq`. */
  delivered(process: LocalProcess, seq: number): void;
  /** The client has been answered a process's events up to `seq`. */
  answered(
    process: LocalProcess,
    seq: number,
    chunks: readonly { readonly seq: number; readonly chunk: string }[],
  ): void;
}

/** The routes of a session. */
export function processRoutes(processes: LocalProcesses, hooks: ProcessHooks): Route[] {
  return [
    route(ProcessStart, async (params, call) => {
      if (params.argv.length === 0) throw invalidParams("argv must not be empty");
      requireNoSandbox(params.sandbox);
      if (params.networkProxy) {
        throw invalidRequest("this server has no network proxy: send `networkProxy: null`");
      }
      const process = await processes.start({
        id: params.processId,
        argv: params.argv,
        cwd: cwdOf(params.cwd),
        env: params.env,
        envPolicy: params.envPolicy,
        pipeStdin: params.pipeStdin,
        tty: params.tty,
        arg0: params.arg0,
        startId: params.startId,
      });
      call.afterwards(() => hooks.started(process));
      return { processId: params.processId, sandboxType: "none" };
    }),
    route(ProcessRead, async (params, call) => {
      const process = processes.get(params.processId);
      if (!process) throw invalidRequest(`unknown process id ${clip(params.processId)}`);
      if (process.starting) throw invalidRequest(`process id ${clip(params.processId)} is starting`);
      const { log } = process;
      const afterSeq = params.afterSeq ?? 0;
      hooks.delivered(process, afterSeq);
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
      call.afterAnswer(() => hooks.answered(process, read.nextSeq - 1, read.chunks));
      // An answer that was cut short must not tell of an exit whose number comes later.
      const cut = params.maxBytes === undefined && read.nextSeq <= log.lastSeq;
      const exited = log.exitSeq !== undefined && (!cut || log.exitSeq < read.nextSeq);
      return {
        chunks: [...read.chunks],
        nextSeq: read.nextSeq,
        exited,
        exitCode: exited ? log.exitCode ?? null : null,
        closed: log.closed && !cut,
        failure: null,
        sandboxDenied: false,
        ...(read.lost && { lost: read.lost }),
      };
    }, "waiting"),
    route(ProcessWrite, async (params) => {
      if (params.writeId === "") throw invalidParams("writeId must not be empty");
      const process = processes.get(params.processId);
      return { status: process ? await process.write(params.chunk, params.writeId) : "unknownProcess" };
    }, "waiting"),
    route(ProcessCloseStdin, async (params) => {
      const process = processes.get(params.processId);
      return { status: process ? await process.closeStdin() : "unknownProcess" };
    }, "waiting"),
    route(ProcessList, () => ({
      processes: processes.list().map(summaryOf).map(({ id, argv, state, pid, exitCode, startedAtMs }) => ({
        processId: id,
        argv: [...argv],
        state,
        pid: pid ?? null,
        exitCode: exitCode ?? null,
        startedAtMs,
      })),
    }), "control"),
    route(ProcessSignal, async (params) => {
      await processes.get(params.processId)?.interrupt();
      return {};
    }, "control"),
    route(ProcessTerminate, async (params) => {
      const process = processes.get(params.processId);
      // After `closed` it means: I have everything.
      if (process?.log.closed) hooks.delivered(process, process.log.lastSeq);
      return { running: await process?.terminate() ?? false };
    }, "control"),
  ];
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
