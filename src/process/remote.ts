/** Processes of a server, driven over the wire. */
import * as v from "valibot";
import { nativePathText, pathUri } from "../files/native_path.ts";
import { ExecServerError, sandboxUnavailable, unsupported } from "../protocol/error.ts";
import {
  ProcessClosed,
  ProcessCloseStdin,
  ProcessExited,
  ProcessList,
  ProcessObserve,
  ProcessOutput,
  ProcessOutputAck,
  ProcessOutputLost,
  ProcessRead,
  ProcessResize,
  ProcessSignal,
  ProcessStart,
  ProcessTerminate,
  ProcessWrite,
} from "../protocol/process.ts";
import type { Caller } from "../rpc/caller.ts";
import type { Frame } from "../rpc/frame.ts";
import { sandboxOnWire } from "../sandbox/on_wire.ts";
import type { ProcessControl } from "./control.ts";
import { processHandle } from "./handle.ts";
import { outputOfFrame, writeRequest } from "./wire_bytes.ts";
import { onlyObserved } from "./observation.ts";
import { createOutputLog, type OutputLog } from "./output_log.ts";
import { memoryRetention } from "./retention.ts";
import {
  type EnvPolicy,
  INHERIT_ALL_BUT_SECRETS,
  type Processes,
  type ProcessEvent,
  type StartOptions,
} from "./trait.ts";
import { exitFromWire } from "./wire_exit.ts";

/** What the remote processes need of their connection. */
export interface ProcessWire extends Caller {
  /** True when the server knows a capability. */
  can(capability: string): boolean;
  /** Sends a notification if there is a connection now. */
  notify(name: string, params: unknown): void;
  /** Stops and resumes the reading of the socket. */
  hold(stop: boolean): void;
}

/** The processes of a session on a server. */
export interface RemoteProcesses extends Processes {
  /** Takes a notification; one that is not about processes is ignored. @throws ExecServerError when it is malformed */
  receive(method: string, params: unknown): void;
  /** As {@link receive}, of a binary message. @throws ExecServerError when it is malformed */
  receiveFrame(frame: Frame): void;
  /** For each open process the last event that has been read; what was only received belongs to the session still. */
  cursors(): Record<string, number>;
  /** Reads what open processes missed, from a server that does not push it. */
  readMissed(caller: Caller): Promise<void>;
  /** The session cannot be had any more: every open process fails. */
  fail(reason: ExecServerError): void;
}

/** Received output is acknowledged after so many bytes, a quarter of the window: it never runs empty. */
const ACKNOWLEDGE_EVERY_BYTES = 512 * 1024;
/** And after so many events: the server's window counts messages, in which single bytes weigh much more. */
const ACKNOWLEDGE_EVERY_EVENTS = 256;
/**
 * Output that may wait for its readers before the socket is not read any more. Only servers that push without waiting
 * for acknowledgements get here.
 */
const MAX_UNREAD_BYTES = 16 * 1024 * 1024;

/** Of a server that does not know sandboxes: the process is ended, but may have done something. */
const IGNORED_SANDBOX = "the server started it without one; hint: use a server that makes sandboxes";

/** Events of a process that may wait for a missing one; the reference client keeps 256. */
const MAX_EARLY_EVENTS = 4_096;

/** Events from this one on are lost. */
interface Gap {
  readonly type: "gap";
  readonly seq: number;
  readonly toSeq: number;
}

/** Events that came before their turn, and the log of those in order. */
interface Inbox {
  readonly log: OutputLog;
  readonly early: Map<number, ProcessEvent | Gap>;
  /** What the server was asked for is answered: it knows from where on to push. */
  known: boolean;
}

/** @param defaultCwd where processes start when the caller does not say; a native path */
export function remoteProcesses(wire: ProcessWire, defaultCwd: () => string | undefined): RemoteProcesses {
  const inboxes = new Map<string, Inbox>();
  let holding = false;

  const open = (id: string, known = true): Inbox => {
    if (inboxes.has(id)) throw new ExecServerError("INVALID_REQUEST", `process ${id} already exists`);
    let acknowledged = 0;
    let bytesBefore = 0;
    const log: OutputLog = createOutputLog(memoryRetention(), () => {
      const read = log.receivedBytes - log.undeliveredBytes;
      const due = read - bytesBefore >= ACKNOWLEDGE_EVERY_BYTES ||
        log.deliveredSeq - acknowledged >= ACKNOWLEDGE_EVERY_EVENTS ||
        log.closed && log.deliveredSeq === log.lastSeq;
      if (due) {
        bytesBefore = read;
        acknowledge();
      }
      relax();
    });
    const acknowledge = () => {
      if (log.deliveredSeq <= acknowledged || !wire.can("outputAcknowledgement")) return;
      acknowledged = log.deliveredSeq;
      wire.notify(ProcessOutputAck.name, { processId: id, seq: acknowledged });
    };
    const inbox: Inbox = { log, early: new Map(), known };
    inboxes.set(id, inbox);
    return inbox;
  };

  const accept = (id: string, inbox: Inbox, event: ProcessEvent | Gap) => {
    if (inbox.early.size >= MAX_EARLY_EVENTS) {
      throw new ExecServerError("PROTOCOL_VIOLATION", `process ${id}: too many events after a missing one`);
    }
    inbox.early.set(event.seq, event);
    deliver(inbox);
    if (inbox.log.closed) inboxes.delete(id);
  };

  const unread = () => {
    let total = 0;
    for (const { log } of inboxes.values()) total += log.undeliveredBytes;
    return total;
  };

  const relax = () => {
    if (!holding || unread() >= MAX_UNREAD_BYTES) return;
    holding = false;
    wire.hold(false);
  };

  const receiveEvent = (id: string, event: ProcessEvent) => {
    const inbox = inboxes.get(id);
    if (!inbox || event.seq <= inbox.log.lastSeq) return;
    accept(id, inbox, event);
    // A window for each process bounds them already; holding back all would stop the one that is read.
    if (wire.can("outputAcknowledgement") || holding || unread() < MAX_UNREAD_BYTES) return;
    holding = true;
    wire.hold(true);
  };

  return {
    async start(options) {
      options.signal?.throwIfAborted();
      requireAbilities(wire, options);
      const id = options.id ?? crypto.randomUUID();
      const cwd = pathUri(options.cwd ?? defaultCwd() ?? "/");
      const sandbox = options.sandbox ? sandboxOnWire(options.sandbox, new URL(cwd)) : null;
      const inbox = open(id); // before the request: a server may notify before it answers
      let ignored: ExecServerError | undefined;
      try {
        const { sandboxType } = await wire.call(ProcessStart, {
          processId: id,
          argv: [...options.argv],
          cwd,
          env: { ...options.env },
          envPolicy: wirePolicy(options.envPolicy ?? INHERIT_ALL_BUT_SECRETS),
          tty: options.tty ?? false,
          pipeStdin: options.pipeStdin ?? false,
          arg0: options.arg0 ?? null,
          sandbox,
          startId: crypto.randomUUID(),
          ...(options.size && { size: { ...options.size } }),
          timeoutMs: options.timeoutMs,
          timeoutGraceMs: options.timeoutGraceMs,
          ...(options.limits && { limits: { ...options.limits } }),
        }, { signal: options.signal });
        if (sandbox && (sandboxType ?? "none") === "none") {
          ignored = sandboxUnavailable(IGNORED_SANDBOX);
          throw ignored;
        }
      } catch (error) {
        inboxes.delete(id);
        const mayRun = options.signal?.aborted || error === ignored ||
          (error instanceof ExecServerError && error.code === "UNKNOWN_OUTCOME");
        if (mayRun) wire.call(ProcessTerminate, { processId: id }).catch(() => {});
        throw error;
      }
      return processHandle(
        control(wire, id, inbox.log, 1, (options.pipeStdin ?? false) || (options.tty ?? false)),
        options.signal,
      );
    },
    async list() {
      const { processes } = await wire.call(ProcessList, null);
      return processes.map((one) => ({
        id: one.processId,
        argv: one.argv,
        state: one.state,
        pid: one.pid ?? undefined,
        exit: one.exitCode === null ? undefined : exitFromWire({ ...one, exitCode: one.exitCode }),
        startedAtMs: one.startedAtMs,
        cwd: typeof one.cwd === "string" ? nativePathText(new URL(one.cwd)) : undefined,
        tty: one.tty ?? undefined,
        outputBytes: one.outputBytes ?? undefined,
        usage: one.usage ?? undefined,
      }));
    },
    async attach(id) {
      const inbox = open(id);
      try {
        const read = await wire.call(ProcessRead, { processId: id, afterSeq: 0 });
        const firstSeq = read.lost ? read.chunks[0]?.seq ?? read.lost.toSeq + 1 : 1;
        inbox.log.skipTo(firstSeq - 1);
        take(inbox, read);
        if (inbox.log.closed) inboxes.delete(id);
        return processHandle(control(wire, id, inbox.log, firstSeq, undefined));
      } catch (error) {
        inboxes.delete(id);
        throw error;
      }
    },
    async observe(sessionId, processId) {
      if (!wire.can("processObserve")) {
        throw unsupported("on this server processes cannot be observed (capability processObserve)");
      }
      const id = crypto.randomUUID();
      const inbox = open(id, false); // before the request: events may come in one packet with the answer
      const { log } = inbox;
      try {
        const answer = await wire.call(ProcessObserve, { sessionId, processId, as: id });
        const { firstSeq, exitCode } = answer;
        inbox.known = true;
        log.skipTo(firstSeq - 1);
        deliver(inbox);
        if (exitCode !== null) log.learnExit(exitFromWire({ ...answer, exitCode }));
        if (log.closed) inboxes.delete(id);
        return processHandle(observedControl(id, log, firstSeq));
      } catch (error) {
        inboxes.delete(id);
        throw error;
      }
    },
    async retained(id) {
      const read = await wire.call(ProcessRead, { processId: id, afterSeq: 0 });
      const { processes } = await wire.call(ProcessList, null).catch(() => ({ processes: [] }));
      const closed = processes.find(({ processId }) => processId === id)?.state === "closed";
      return {
        chunks: read.chunks.map(({ stream, chunk }) => ({ stream, bytes: chunk })),
        beginningLost: (read.chunks[0]?.seq ?? 1) > 1,
        more: closed && !read.closed,
      };
    },
    receive(method, params) {
      if (method === ProcessOutputLost.name) {
        const { processId, fromSeq, toSeq } = parse(ProcessOutputLost.params, params, method);
        const inbox = inboxes.get(processId);
        if (!inbox || toSeq <= inbox.log.lastSeq) return;
        return accept(processId, inbox, {
          type: "gap",
          seq: Math.max(fromSeq, inbox.log.lastSeq + 1),
          toSeq,
        });
      }
      const decoded = decode(method, params);
      if (decoded) receiveEvent(decoded.processId, decoded.event);
    },
    receiveFrame(frame) {
      const { processId, event } = outputOfFrame(frame);
      receiveEvent(processId, event);
    },
    cursors() {
      const known = [...inboxes].filter(([, inbox]) => inbox.known);
      return Object.fromEntries(known.map(([id, { log }]) => [id, log.deliveredSeq]));
    },
    async readMissed(caller) {
      await Promise.all([...inboxes].map(async ([processId, inbox]) => {
        try {
          take(inbox, await caller.call(ProcessRead, { processId, afterSeq: inbox.log.lastSeq, waitMs: 0 }));
        } catch (error) {
          // Of one that was being started when the connection broke, `start` itself tells its caller.
          if (error instanceof ExecServerError && error.code === "INVALID_REQUEST") inbox.log.fail(error);
          else throw error;
        }
        if (inbox.log.closed || inbox.log.failure) inboxes.delete(processId);
      }));
    },
    fail(reason) {
      for (const { log } of inboxes.values()) log.fail(reason);
      inboxes.clear();
    },
  };
}

/** Appends an answer to `process/read`. The numbers below `nextSeq` that no chunk has are the exit and the end. */
function take(inbox: Inbox, read: v.InferOutput<typeof ProcessRead.result>): void {
  const { log, early } = inbox;
  const chunks = new Map(read.chunks.map((chunk) => [chunk.seq, chunk]));
  if (read.lost && read.lost.toSeq > log.lastSeq) log.skipTo(read.lost.toSeq);
  for (let seq = log.lastSeq + 1; seq < read.nextSeq; seq++) {
    const chunk = chunks.get(seq);
    if (chunk) early.set(seq, { type: "output", seq, stream: chunk.stream, bytes: chunk.chunk });
    else if (read.exited && !log.exit) {
      early.set(seq, { type: "exited", seq, ...exitFromWire({ ...read, exitCode: read.exitCode ?? 1 }) });
    } else if (read.closed && seq === read.nextSeq - 1) early.set(seq, { type: "closed", seq });
    else if (!early.has(seq)) log.skipTo(seq);
    deliver(inbox);
  }
  if (read.exited && read.exitCode !== null) {
    log.learnExit(exitFromWire({ ...read, exitCode: read.exitCode }));
  }
}

/** Appends what is next in order. */
function deliver({ log, early }: Inbox): void {
  for (let event = early.get(log.lastSeq + 1); event; event = early.get(log.lastSeq + 1)) {
    early.delete(event.seq);
    if (event.type === "output") log.appendEvent(event.stream, event.bytes);
    else if (event.type === "exited") log.appendExited(exitFromWire(event));
    else if (event.type === "closed") log.appendClosed();
    else log.skipTo(event.toSeq);
  }
}

function decode(method: string, params: unknown): { processId: string; event: ProcessEvent } | undefined {
  switch (method) {
    case ProcessOutput.name: {
      const { processId, seq, stream, chunk } = parse(ProcessOutput.params, params, method);
      return { processId, event: { type: "output", seq, stream, bytes: chunk } };
    }
    case ProcessExited.name: {
      const exited = parse(ProcessExited.params, params, method);
      const { processId, seq } = exited;
      return { processId, event: { type: "exited", seq, ...exitFromWire(exited) } };
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

function control(
  wire: ProcessWire,
  processId: string,
  log: OutputLog,
  firstSeq: number,
  takesInput: boolean | undefined,
): ProcessControl {
  const need = (capability: string, what: string) => {
    if (!wire.can(capability)) {
      throw unsupported(`this server does not know ${what} (capability ${capability})`);
    }
  };
  return {
    id: processId,
    log,
    firstSeq,
    takesInput,
    async write(bytes: Uint8Array, writeId: string) {
      return (await wire.call(ProcessWrite, writeRequest(processId, bytes, writeId))).status;
    },
    async closeStdin({ final = false } = {}) {
      return (await wire.call(ProcessCloseStdin, { processId, final })).status;
    },
    async signal(name) {
      if (name !== "interrupt") need("processSignals", "signals other than `interrupt`");
      await wire.call(ProcessSignal, { processId, signal: name });
    },
    async resize(size) {
      need("processResize", "resizing of terminals");
      await wire.call(ProcessResize, { processId, size: { ...size } });
    },
    async terminate({ graceMs = 0 } = {}) {
      const wholeTree = wire.can("processTerminateTree");
      if (graceMs > 0) need("processTerminateTree", "a grace before it kills");
      const { running, survivors } = await wire.call(ProcessTerminate, {
        processId,
        ...(wholeTree && { graceMs }),
      });
      return { wasRunning: running, survivors: survivors ?? [] };
    },
  };
}

function observedControl(id: string, log: OutputLog, firstSeq: number): ProcessControl {
  const refuse = () => Promise.reject(onlyObserved(id));
  return {
    id,
    log,
    firstSeq,
    takesInput: false,
    observed: true,
    write: refuse,
    closeStdin: refuse,
    signal: refuse,
    resize: refuse,
    terminate: refuse,
  };
}

/** What the server does not know it would ignore; a limit that is ignored is none. */
function requireAbilities(wire: ProcessWire, options: StartOptions): void {
  if (options.timeoutMs !== undefined && !wire.can("processTimeout")) {
    throw unsupported("this server has no time limits for processes (capability processTimeout)");
  }
  const limited = Object.values(options.limits ?? {}).some((limit) => limit !== undefined);
  if (limited && !wire.can("processLimits")) {
    throw unsupported("this server has no resource limits for processes (capability processLimits)");
  }
}

function wirePolicy(policy: EnvPolicy): v.InferInput<typeof ProcessStart.params>["envPolicy"] {
  return {
    ...policy,
    exclude: [...policy.exclude],
    includeOnly: [...policy.includeOnly],
    set: { ...policy.set },
  };
}
