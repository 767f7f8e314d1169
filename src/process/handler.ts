/** Answers `process/*` by calling the local processes of a session. */
import { nativePathText } from "../files/native_path.ts";
import { ExecServerError, invalidParams, invalidRequest } from "../protocol/error.ts";
import {
  ProcessCloseStdin,
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
import type { LocalProcess, LocalProcesses } from "./local.ts";
import { readLog } from "./read.ts";

/**
 * The routes of a session.
 * @param started called after the answer to `process/start` is out: from then on notifications may go
 */
export function processRoutes(processes: LocalProcesses, started: (process: LocalProcess) => void): Route[] {
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
      });
      call.afterAnswer(() => started(process));
      return { processId: params.processId, sandboxType: "none" };
    }),
    route(ProcessRead, async (params, call) => {
      const process = processes.get(params.processId);
      if (!process) throw invalidRequest(`unknown process id ${clip(params.processId)}`);
      if (process.starting) throw invalidRequest(`process id ${clip(params.processId)} is starting`);
      const { log } = process;
      const window = {
        afterSeq: params.afterSeq ?? 0,
        maxBytes: params.maxBytes ?? undefined,
        waitMs: params.waitMs ?? undefined,
        signal: call.signal,
      };
      const read = await readLog(
        log,
        window,
        ({ seq, stream, bytes }) => ({ seq, stream, chunk: encodeBase64(bytes) }),
      );
      return {
        chunks: [...read.chunks],
        nextSeq: read.nextSeq,
        exited: log.exitCode !== undefined,
        exitCode: log.exitCode ?? null,
        closed: log.closed,
        failure: null,
        sandboxDenied: false,
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
    route(ProcessSignal, async (params) => {
      await processes.get(params.processId)?.interrupt();
      return {};
    }, "control"),
    route(ProcessTerminate, async (params) => {
      return { running: await processes.get(params.processId)?.terminate() ?? false };
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
