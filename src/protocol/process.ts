/** `process/*` (protocol reference, section 10). */
import * as v from "valibot";
import { method, type Notification, repeatable, unitMethod } from "./method.ts";
import { sandbox } from "./sandbox.ts";
import { base64, flag, list, map, maybe, pathUri, struct, text, unsigned, uuid, variant } from "./schema.ts";

/** Which of the server's own variables a child inherits, before `env` is laid on top. */
const envPolicy = struct("ExecEnvPolicy", {
  inherit: variant(["core", "all", "none"]),
  ignoreDefaultExcludes: flag(),
  exclude: list(text()),
  set: map(text()),
  includeOnly: list(text()),
});

/** Where a piece of output came from. */
export const OutputStream = v.picklist(["stdout", "stderr", "pty"]);

const chunk = v.object({ seq: v.number(), stream: OutputStream, chunk: base64() });
const empty = v.object({});

/** Starts a program; the client chooses the id. */
export const ProcessStart = method(
  "process/start",
  "exec",
  "WireExecParams",
  struct("WireExecParams", {
    processId: text(),
    argv: list(text()),
    cwd: pathUri(),
    env: map(text()),
    tty: flag(),
    pipeStdin: v.optional(flag(), false),
    arg0: maybe(text()),
    envPolicy: maybe(envPolicy),
    sandbox: sandbox(),
    enforceManagedNetwork: v.optional(flag(), false),
    managedNetwork: maybe(v.unknown()),
    networkProxy: maybe(v.unknown()),
    shellSnapshot: maybe(v.unknown()),
    /** Added: the same id and startId again get the same answer and start nothing. */
    startId: maybe(uuid()),
    metadata: maybe(struct("ExecMetadata", { threadId: maybe(uuid()), toolCallId: maybe(text()) })),
  }),
  v.object({ processId: v.string(), sandboxType: v.nullish(v.string()) }),
);

/** Retained output after a sequence number; may wait for more. */
export const ProcessRead = repeatable(method(
  "process/read",
  "exec",
  "ReadParams",
  struct("ReadParams", {
    processId: text(),
    afterSeq: maybe(unsigned()),
    maxBytes: maybe(unsigned("usize")),
    waitMs: maybe(unsigned()),
  }),
  v.object({
    chunks: v.array(chunk),
    nextSeq: v.number(),
    exited: v.boolean(),
    exitCode: v.nullable(v.number()),
    closed: v.boolean(),
    failure: v.nullable(v.string()),
    sandboxDenied: v.optional(v.boolean(), false),
    /** Added: events after `afterSeq` that are no longer retained. */
    lost: v.nullish(v.object({ fromSeq: v.number(), toSeq: v.number() })),
  }),
));

/** Bytes for a child's standard input; the same `writeId` is written once. */
export const ProcessWrite = repeatable(method(
  "process/write",
  "exec",
  "WriteParams",
  struct("WriteParams", { processId: text(), chunk: base64(), writeId: text() }),
  v.object({ status: v.picklist(["accepted", "unknownProcess", "stdinClosed", "starting"]) }),
));

/** Ends a child's standard input after what was written before. Added to the reference's wire. */
export const ProcessCloseStdin = repeatable(method(
  "process/closeStdin",
  "exec",
  "CloseStdinParams",
  struct("CloseStdinParams", { processId: text() }),
  v.object({ status: v.picklist(["accepted", "unknownProcess", "stdinClosed", "starting"]) }),
));

/** A signal to the process group. */
export const ProcessSignal = method(
  "process/signal",
  "exec",
  "SignalParams",
  struct("SignalParams", { processId: text(), signal: variant(["interrupt"]) }),
  empty,
);

/** SIGKILL to the process group. */
export const ProcessTerminate = repeatable(method(
  "process/terminate",
  "exec",
  "TerminateParams",
  struct("TerminateParams", { processId: text() }),
  v.object({ running: v.boolean() }),
));

/** The session's processes, started or kept. Added to the reference's wire. */
export const ProcessList = unitMethod(
  "process/list",
  "exec",
  v.object({
    processes: v.array(v.object({
      processId: v.string(),
      pid: v.nullable(v.number()),
      argv: v.array(v.string()),
      state: v.picklist(["starting", "running", "exited", "closed"]),
      exitCode: v.nullable(v.number()),
      startedAtMs: v.number(),
    })),
  }),
);

/** From the client: everything up to `seq` has been received and may be dropped. Added to the reference's wire. */
export const ProcessOutputAck = {
  name: "process/outputAck",
  params: struct("OutputAckParams", { processId: text(), seq: unsigned() }),
} satisfies Notification;

/** These events of a process are gone for good. Added to the reference's wire. */
export const ProcessOutputLost = {
  name: "process/outputLost",
  params: v.object({ processId: v.string(), fromSeq: v.number(), toSeq: v.number() }),
} satisfies Notification;

/** A piece of output. */
export const ProcessOutput = {
  name: "process/output",
  params: v.object({ processId: v.string(), seq: v.number(), stream: OutputStream, chunk: base64() }),
} satisfies Notification;

/** The leader has exited. */
export const ProcessExited = {
  name: "process/exited",
  params: v.object({
    processId: v.string(),
    seq: v.number(),
    exitCode: v.number(),
    sandboxDenied: v.optional(v.boolean(), false),
  }),
} satisfies Notification;

/** Nothing more will come from this process. */
export const ProcessClosed = {
  name: "process/closed",
  params: v.object({ processId: v.string(), seq: v.number() }),
} satisfies Notification;
