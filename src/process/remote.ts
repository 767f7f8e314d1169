/** Processes of a server, driven over the wire. */
import * as v from "valibot";
import { pathUri } from "../files/native_path.ts";
import { ExecServerError } from "../protocol/error.ts";
import {
  ProcessClosed,
  ProcessCloseStdin,
  ProcessExited,
  ProcessOutput,
  ProcessSignal,
  ProcessStart,
  ProcessTerminate,
  ProcessWrite,
} from "../protocol/process.ts";
import type { Caller } from "../rpc/caller.ts";
import type { ProcessControl } from "./control.ts";
import { processHandle } from "./handle.ts";
import { encodeBase64 } from "./base64.ts";
import { createOutputLog, type OutputLog } from "./output_log.ts";
import { memoryRetention } from "./retention.ts";
import { type EnvPolicy, INHERIT_ALL_BUT_SECRETS, type Processes, type ProcessEvent } from "./trait.ts";

/** The processes of a connection's session. */
export interface RemoteProcesses extends Processes {
  /** Takes a notification; false when it is not about processes. @throws ExecServerError when it is malformed */
  receive(method: string, params: unknown): boolean;
  /** Bytes received and not yet read by anybody. */
  readonly unreadBytes: number;
  /** Calls back after bytes have been read. */
  onRead(action: () => void): void;
  /** The session cannot be had any more: every open process fails. */
  fail(reason: ExecServerError): void;
}

/** Events that came before their turn, and the log of those in order. */
interface Inbox {
  readonly log: OutputLog;
  readonly early: Map<number, ProcessEvent>;
}

/** @param defaultCwd where processes start when the caller does not say; a native path */
export function remoteProcesses(caller: Caller, defaultCwd: () => string | undefined): RemoteProcesses {
  const inboxes = new Map<string, Inbox>();
  return {
    async start(options) {
      options.signal?.throwIfAborted();
      const id = options.id ?? crypto.randomUUID();
      if (inboxes.has(id)) {
        throw new ExecServerError("INVALID_REQUEST", `process ${id} already exists`);
      }
      const inbox: Inbox = { log: createOutputLog(memoryRetention()), early: new Map() };
      inboxes.set(id, inbox); // before the request: a server may notify before it answers
      try {
        await caller.call(ProcessStart, {
          processId: id,
          argv: [...options.argv],
          cwd: pathUri(options.cwd ?? defaultCwd() ?? "/"),
          env: { ...options.env },
          envPolicy: wirePolicy(options.envPolicy ?? INHERIT_ALL_BUT_SECRETS),
          tty: options.tty ?? false,
          pipeStdin: options.pipeStdin ?? false,
          arg0: options.arg0 ?? null,
          sandbox: null,
        });
      } catch (error) {
        inboxes.delete(id);
        throw error;
      }
      return processHandle(control(caller, id, inbox.log), options.signal);
    },
    receive(method, params) {
      const event = decode(method, params);
      if (!event) return false;
      const inbox = inboxes.get(event.processId);
      if (inbox && event.event.seq > inbox.log.lastSeq) {
        inbox.early.set(event.event.seq, event.event);
        deliver(inbox);
        if (inbox.log.closed) inboxes.delete(event.processId);
      }
      return true;
    },
    get unreadBytes() {
      let total = 0;
      for (const { log } of inboxes.values()) total += log.undeliveredBytes;
      return total;
    },
    onRead(action) {
      for (const { log } of inboxes.values()) void log.room()?.then(action);
    },
    fail(reason) {
      for (const { log } of inboxes.values()) log.fail(reason);
      inboxes.clear();
    },
  };
}

/** Appends what is next in order. */
function deliver({ log, early }: Inbox): void {
  for (let event = early.get(log.lastSeq + 1); event; event = early.get(log.lastSeq + 1)) {
    early.delete(event.seq);
    if (event.type === "output") log.appendEvent(event.stream, event.bytes);
    else if (event.type === "exited") log.appendExited(event.exitCode);
    else log.appendClosed();
  }
}

function decode(method: string, params: unknown): { processId: string; event: ProcessEvent } | undefined {
  switch (method) {
    case ProcessOutput.name: {
      const { processId, seq, stream, chunk } = parse(ProcessOutput.params, params, method);
      return { processId, event: { type: "output", seq, stream, bytes: chunk } };
    }
    case ProcessExited.name: {
      const { processId, seq, exitCode } = parse(ProcessExited.params, params, method);
      return { processId, event: { type: "exited", seq, exitCode } };
    }
    case ProcessClosed.name: {
      const { processId, seq } = parse(ProcessClosed.params, params, method);
      return { processId, event: { type: "closed", seq } };
    }
    default:
      return undefined;
  }
}

function parse<S extends v.GenericSchema>(schema: S, params: unknown, method: string): v.InferOutput<S> {
  const parsed = v.safeParse(schema, params, { abortEarly: true });
  if (parsed.success) return parsed.output;
  throw new ExecServerError("PROTOCOL_VIOLATION", `malformed ${method}: ${parsed.issues[0].message}`);
}

function control(caller: Caller, processId: string, log: OutputLog): ProcessControl {
  return {
    id: processId,
    log,
    async write(bytes: Uint8Array, writeId: string) {
      return (await caller.call(ProcessWrite, { processId, chunk: encodeBase64(bytes), writeId })).status;
    },
    async closeStdin() {
      return (await caller.call(ProcessCloseStdin, { processId })).status;
    },
    async interrupt() {
      await caller.call(ProcessSignal, { processId, signal: "interrupt" });
    },
    async terminate() {
      return (await caller.call(ProcessTerminate, { processId })).running;
    },
  };
}

function wirePolicy(policy: EnvPolicy): v.InferInput<typeof ProcessStart.params>["envPolicy"] {
  return {
    ...policy,
    exclude: [...policy.exclude],
    includeOnly: [...policy.includeOnly],
    set: { ...policy.set },
  };
}
