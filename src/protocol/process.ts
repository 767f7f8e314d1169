/** `process/*` (protocol reference, section 10). */
import * as v from "valibot";
import { MAX_TERMINAL_SIDE, MAX_TIMER_MS } from "./limits.ts";
import { method, type Notification, repeatable, unitMethod } from "./method.ts";
import { enforcedSandbox } from "./sandbox.ts";
import {
  base64,
  flag,
  list,
  map,
  maybe,
  pathUri,
  strictStruct,
  struct,
  text,
  unsigned,
  uuid,
  variant,
  within,
} from "./schema.ts";

/** The signals of POSIX (signal.h), and SIGPWR and SIGSTKFLT of Linux (signal(7)). Real-time ones have no names. */
export const SIGNALS = [
  "SIGABRT",
  "SIGALRM",
  "SIGBUS",
  "SIGCHLD",
  "SIGCONT",
  "SIGFPE",
  "SIGHUP",
  "SIGILL",
  "SIGINT",
  "SIGKILL",
  "SIGPIPE",
  "SIGPOLL",
  "SIGPROF",
  "SIGPWR",
  "SIGQUIT",
  "SIGSEGV",
  "SIGSTKFLT",
  "SIGSTOP",
  "SIGSYS",
  "SIGTERM",
  "SIGTRAP",
  "SIGTSTP",
  "SIGTTIN",
  "SIGTTOU",
  "SIGURG",
  "SIGUSR1",
  "SIGUSR2",
  "SIGVTALRM",
  "SIGWINCH",
  "SIGXCPU",
  "SIGXFSZ",
] as const;

const terminalSize = struct("TerminalSize", {
  rows: within(1, MAX_TERMINAL_SIDE, "u16"),
  cols: within(1, MAX_TERMINAL_SIDE, "u16"),
});

/** What a process and each of its descendants may use (setrlimit(2)). A misspelt limit would be none. */
const resourceLimits = strictStruct("ResourceLimits", {
  cpuSeconds: maybe(unsigned()),
  addressSpaceBytes: maybe(unsigned()),
  dataBytes: maybe(unsigned()),
  openFiles: maybe(unsigned()),
  /** All that come of it together where there is a cgroup, else all that its user runs. */
  processes: maybe(unsigned()),
  fileSizeBytes: maybe(unsigned()),
});

/** What a managed network lets through; not built, and refused where it would have to hold. */
const managedNetwork = struct("ManagedNetworkSandboxContext", {
  loopbackPorts: v.optional(list(unsigned("u16"))),
  allowLocalBinding: v.optional(flag()),
});

/** How a process ended, beside its exit code; only what is so is there. */
const ending = {
  /** Added: the signal that ended it. */
  signal: v.nullish(v.picklist(SIGNALS)),
  /** Added: its time was over. */
  timedOut: v.optional(v.boolean(), false),
  /** Added: it was terminated by request. */
  terminated: v.optional(v.boolean(), false),
  /** Added: the kernel killed it for want of memory. */
  oomKilled: v.optional(v.boolean(), false),
};

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
    sandbox: enforcedSandbox(),
    enforceManagedNetwork: v.optional(flag(), false),
    managedNetwork: maybe(managedNetwork),
    networkProxy: maybe(v.unknown()),
    shellSnapshot: maybe(v.unknown()),
    /** Added: the same id and startId again get the same answer and start nothing. */
    startId: maybe(uuid()),
    /** Added: the terminal's size; 24 rows and 80 columns without it. */
    size: maybe(terminalSize),
    /** Added: terminates it after so many ms, if it has not closed by then. */
    timeoutMs: maybe(within(1, MAX_TIMER_MS)),
    /** Added: the grace of that, as `graceMs` of `process/terminate`; refused without `timeoutMs`. */
    timeoutGraceMs: maybe(within(0, MAX_TIMER_MS)),
    /** Added: what it may use; refused (-32011) when one of them cannot be enforced. */
    limits: maybe(resourceLimits),
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
    ...ending,
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

/**
 * Ends a child's standard input after what was written before; in a terminal by the end-of-file character (Ctrl-D),
 * after which one may go on. Added to the reference's wire.
 */
export const ProcessCloseStdin = repeatable(method(
  "process/closeStdin",
  "exec",
  "CloseStdinParams",
  struct("CloseStdinParams", {
    processId: text(),
    /** Nothing follows. In a terminal the character is typed again whenever it has been read, so that every reader
     * finds the end, as in a pipe. */
    final: v.optional(flag(), false),
  }),
  v.object({ status: v.picklist(["accepted", "unknownProcess", "stdinClosed", "starting"]) }),
));

/**
 * A signal to the process group; in a terminal those of the keyboard (SIGINT, SIGQUIT, SIGTSTP) to the foreground job.
 * The reference knows `interrupt` only, which is SIGINT.
 */
export const ProcessSignal = method(
  "process/signal",
  "exec",
  "SignalParams",
  struct("SignalParams", {
    processId: text(),
    signal: variant(["interrupt", ...SIGNALS], "`interrupt` or the name of a POSIX signal"),
  }),
  empty,
);

/** Changes the size of a process's terminal. Added to the reference's wire. */
export const ProcessResize = repeatable(method(
  "process/resize",
  "exec",
  "ResizeParams",
  struct("ResizeParams", { processId: text(), size: terminalSize }),
  empty,
));

/** Ends a process and everything that came of it. */
export const ProcessTerminate = repeatable(method(
  "process/terminate",
  "exec",
  "TerminateParams",
  struct("TerminateParams", {
    processId: text(),
    /**
     * Added: SIGTERM first, SIGKILL for what is left after so many ms. With it, also with 0, the answer comes when
     * nothing is left, and what came of a process that has closed is ended too. Without it: SIGKILL, an answer at
     * once, and nothing happens after `closed`.
     */
    graceMs: maybe(within(0, MAX_TIMER_MS)),
  }),
  v.object({
    running: v.boolean(),
    /** Added, with `graceMs`: process ids of descendants that could not be killed. */
    survivors: v.nullish(v.array(v.number())),
  }),
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
      /** A `file:` URI. */
      cwd: v.nullish(v.string()),
      tty: v.nullish(v.boolean()),
      state: v.picklist(["starting", "running", "exited", "closed"]),
      exitCode: v.nullable(v.number()),
      ...ending,
      startedAtMs: v.number(),
      /** Bytes of output so far. */
      outputBytes: v.nullish(v.number()),
      /** What it and its living descendants use; null when there are none. */
      usage: v.nullish(v.object({
        processes: v.number(),
        cpuTimeMs: v.number(),
        memoryBytes: v.number(),
      })),
    })),
  }),
);

/**
 * Watches a process of another session, beside its owner and other observers: from now on the events come as those of
 * an own process do, under the name `as` and with the numbers they have there. Whoever knows the session's id may. The
 * process does not wait for observers: one that is too slow is told what it has missed (`process/outputLost`, with
 * `acknowledgesOutput`; else it sees a gap in `seq`) and goes on with what is retained. Asked again for the same name it is the same observation. Added to the reference's wire.
 */
export const ProcessObserve = repeatable(method(
  "process/observe",
  "exec",
  "ObserveParams",
  struct("ObserveParams", {
    /** The session that owns it. */
    sessionId: text(),
    /** Its name there. */
    processId: text(),
    /** Its name in the own session, for the notifications and for `process/read`; `processId` without it. */
    as: maybe(text()),
    /** Events up to this one are not wanted; without it all that are retained are. */
    afterSeq: maybe(unsigned()),
  }),
  v.object({
    processId: v.string(),
    argv: v.array(v.string()),
    tty: v.boolean(),
    /** Number of the first event that is pushed: what is older is not retained, or not wanted. */
    firstSeq: v.number(),
    /** Set when it has exited; the exit may be older than what is retained. */
    exitCode: v.nullable(v.number()),
    ...ending,
  }),
));

/** Ends an observation; afterwards nothing of it comes, and its name is free. Added to the reference's wire. */
export const ProcessUnobserve = repeatable(method(
  "process/unobserve",
  "exec",
  "UnobserveParams",
  struct("UnobserveParams", { processId: text() }),
  empty,
));

/** From the client: everything up to `seq` has been received and may be dropped. Added to the reference's wire. */
export const ProcessOutputAck = {
  name: "process/outputAck",
  params: struct("OutputAckParams", { processId: text(), seq: unsigned() }),
} satisfies Notification;

/** To a client that gave `acknowledgesOutput`: these events of a process are gone for good. Added to the reference's wire. */
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
    ...ending,
  }),
} satisfies Notification;

/** Nothing more will come from this process. */
export const ProcessClosed = {
  name: "process/closed",
  params: v.object({ processId: v.string(), seq: v.number() }),
} satisfies Notification;
