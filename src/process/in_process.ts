/** {@link Processes} of this machine, for a program that runs on it. */
import process from "node:process";
import { nativePathText } from "../files/native_path.ts";
import { invalidRequest } from "../protocol/error.ts";
import { clip } from "../protocol/quote.ts";
import { processHandle } from "./handle.ts";
import type { Enforcement } from "../sandbox/enforcement.ts";
import { sandboxAsDecoded } from "../sandbox/on_wire.ts";
import { createLocalProcesses } from "./local.ts";
import { type OutputEvent, readLog } from "./read.ts";
import { memoryRetention } from "./retention.ts";
import { INHERIT_ALL_BUT_SECRETS, type Processes } from "./trait.ts";

/** Processes and the end of them all. */
export interface InProcess extends Processes {
  /** Kills every process. Resolves when all have been reaped. */
  close(): Promise<void>;
}

/** No processes yet. @param enforcement for sandboxes */
export function inProcess(enforcement: Enforcement): InProcess {
  const processes = createLocalProcesses(memoryRetention());
  return {
    async start(options) {
      options.signal?.throwIfAborted();
      const cwd = nativePathText(options.cwd ?? process.cwd());
      const started = await processes.start({
        id: options.id ?? crypto.randomUUID(),
        argv: options.argv,
        cwd,
        env: options.env ?? {},
        envPolicy: options.envPolicy ?? INHERIT_ALL_BUT_SECRETS,
        pipeStdin: options.pipeStdin ?? false,
        tty: options.tty ?? false,
        size: options.size,
        arg0: options.arg0,
        timeoutMs: options.timeoutMs,
        timeoutGraceMs: options.timeoutGraceMs,
        limits: options.limits,
        ...(options.sandbox && { enforced: { enforcement, asked: sandboxAsDecoded(options.sandbox, cwd) } }),
      });
      const forget = () => processes.remove(started.id);
      started.ended.then(forget, forget);
      return processHandle(started, options.signal);
    },
    list: () => Promise.resolve(processes.summaries()),
    attach(id) {
      const found = processes.get(id);
      if (!found) return Promise.reject(invalidRequest(`unknown process id ${clip(id)}`));
      return Promise.resolve(processHandle({ ...found, log: found.log, firstSeq: found.log.firstSeq }));
    },
    observe: () =>
      Promise.reject(invalidRequest("there are no sessions without a server: nothing to observe")),
    async retained(id) {
      const found = processes.get(id);
      if (!found) throw invalidRequest(`unknown process id ${clip(id)}`);
      const take = ({ stream, bytes }: OutputEvent) => ({ stream, bytes: bytes.slice() });
      const { chunks, nextSeq, lost } = await readLog(found.log, { afterSeq: 0 }, take);
      return { chunks, beginningLost: lost !== undefined, more: nextSeq <= found.log.lastSeq };
    },
    close: () => processes.dispose(),
  };
}
