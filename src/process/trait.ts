/** Processes of an environment, local or remote. */
import type { Sandbox } from "../sandbox/trait.ts";

/** Where a piece of output came from; `pty` is stdout and stderr of a terminal, merged. */
export type OutputStream = "stdout" | "stderr" | "pty";

/** Something that happened to a process. `seq` counts all three kinds together, from 1, without gaps. */
export type ProcessEvent =
  | {
    readonly type: "output";
    readonly seq: number;
    readonly stream: OutputStream;
    readonly bytes: Uint8Array;
  }
  | ({ readonly type: "exited"; readonly seq: number } & ExitStatus)
  | { readonly type: "closed"; readonly seq: number };

/** How a process ended: one member for each way. */
export interface ExitStatus {
  /** The exit code; 128 + the signal's number when a signal ended it (as shells report it: bash(1), EXIT STATUS). */
  readonly exitCode: number;
  /** The signal that ended it; undefined when it exited, or when the server does not tell. */
  readonly signal: SignalName | undefined;
  /** {@link StartOptions.timeoutMs} was over before it ended. */
  readonly timedOut: boolean;
  /** {@link Process.terminate}, or the end of its session, came before it ended. */
  readonly terminated: boolean;
  /** The kernel killed it for want of memory. False also where that cannot be known. */
  readonly oomKilled: boolean;
  /** A hint: it ran in a sandbox, failed, and complained about what a sandbox refuses. Absent otherwise. */
  readonly sandboxDenied?: true;
}

/** A signal by its name in POSIX (signal.h), or on Linux (signal(7)). */
export type SignalName =
  | "SIGABRT"
  | "SIGALRM"
  | "SIGBUS"
  | "SIGCHLD"
  | "SIGCONT"
  | "SIGFPE"
  | "SIGHUP"
  | "SIGILL"
  | "SIGINT"
  | "SIGKILL"
  | "SIGPIPE"
  | "SIGPOLL"
  | "SIGPROF"
  | "SIGPWR"
  | "SIGQUIT"
  | "SIGSEGV"
  | "SIGSTKFLT"
  | "SIGSTOP"
  | "SIGSYS"
  | "SIGTERM"
  | "SIGTRAP"
  | "SIGTSTP"
  | "SIGTTIN"
  | "SIGTTOU"
  | "SIGURG"
  | "SIGUSR1"
  | "SIGUSR2"
  | "SIGVTALRM"
  | "SIGWINCH"
  | "SIGXCPU"
  | "SIGXFSZ";

/** The size of a terminal, in characters; each from 1 to 65,535. */
export interface TerminalSize {
  /** Lines. */
  readonly rows: number;
  /** Characters in a line. */
  readonly cols: number;
}

/** What a process and each of its descendants may use (setrlimit(2)). */
export interface ResourceLimits {
  /** Processor time of one process, in seconds: SIGXCPU, then SIGKILL. At least 1. */
  readonly cpuSeconds?: number | undefined;
  /** Size of its address space, in bytes: allocations fail beyond it. */
  readonly addressSpaceBytes?: number | undefined;
  /** Size of its data segment and private memory, in bytes: allocations fail beyond it. */
  readonly dataBytes?: number | undefined;
  /** One more than the highest descriptor number it may open: EMFILE. */
  readonly openFiles?: number | undefined;
  /**
   * Processes: fork fails with EAGAIN. With a cgroup (pids controller) it counts the process and all that came of it;
   * without one everything that the same user runs (RLIMIT_NPROC). Refused where it cannot be enforced.
   */
  readonly processes?: number | undefined;
  /** Size of a file it writes, in bytes: SIGXFSZ. */
  readonly fileSizeBytes?: number | undefined;
}

/** Which of the environment's own variables a process inherits, before {@link StartOptions.env} is laid on top. */
export interface EnvPolicy {
  /** `core` is HOME LOGNAME USER PATH SHELL TMPDIR TEMP TMP LANG LC_ALL LC_CTYPE. */
  readonly inherit: "all" | "core" | "none";
  /** False drops inherited names that look like secrets: `*KEY*`, `*SECRET*`, `*TOKEN*`. */
  readonly ignoreDefaultExcludes: boolean;
  /** Names to drop, as globs with `*` and `?`, in any case. */
  readonly exclude: readonly string[];
  /** Variables to add after that. */
  readonly set: Readonly<Record<string, string>>;
  /** When not empty: the only names to keep, as globs. */
  readonly includeOnly: readonly string[];
}

/** Everything but names that look like secrets: the default. */
export const INHERIT_ALL_BUT_SECRETS: EnvPolicy = {
  inherit: "all",
  ignoreDefaultExcludes: false,
  exclude: [],
  set: {},
  includeOnly: [],
};

/** Nothing: the process gets exactly {@link StartOptions.env}. */
export const INHERIT_NOTHING: EnvPolicy = { ...INHERIT_ALL_BUT_SECRETS, inherit: "none" };

/** What to run, and how. */
export interface StartOptions {
  /** Program and arguments; at least one. A name without `/` is searched in `env.PATH`. */
  readonly argv: readonly string[];
  /** Absolute native path or `file:` URL of an existing directory. Default: the environment's own. */
  readonly cwd?: string | URL;
  /** The process's variables, laid over what {@link envPolicy} lets through. Default: none. */
  readonly env?: Readonly<Record<string, string>>;
  /** What it inherits. Default: {@link INHERIT_ALL_BUT_SECRETS}. */
  readonly envPolicy?: EnvPolicy;
  /** Give it a pipe as standard input; else it reads `/dev/null`. Default false. */
  readonly pipeStdin?: boolean;
  /**
   * Run it in a terminal of its own, which takes input and shows standard output and error as one stream. `TERM` is
   * `xterm-256color` unless its variables say otherwise. Default false.
   */
  readonly tty?: boolean;
  /** The terminal's size. Default 24 rows, 80 columns; fixed there on servers without `processResize`. */
  readonly size?: TerminalSize;
  /** Terminate it after so many milliseconds, if it has not closed by then. At most 2^31 - 1. Default: never. */
  readonly timeoutMs?: number;
  /** The grace of that, as in {@link Process.terminate}; refused without it. Default 0: killed at once. */
  readonly timeoutGraceMs?: number;
  /** What it may use. Default: what the server itself may. */
  readonly limits?: ResourceLimits;
  /** What it may do. Default: what the server may, or lets it. */
  readonly sandbox?: Sandbox;
  /** Replaces argv[0] as the process sees it. */
  readonly arg0?: string;
  /** Its name in the session, at least unique there. Default: a new UUID. */
  readonly id?: string;
  /** Terminates the process (or gives up the start) when aborted. */
  readonly signal?: AbortSignal;
}

/** A started process. */
export interface Process {
  /** Its name in the session. */
  readonly id: string;
  /**
   * What happened, from the first event on, ending after `closed`. Each call reads on its own. A reader that is
   * slow holds back the process, not memory: about 2 MiB waits, then the process does. Bytes may be shared with those
   * that other readers get: they are to be read only.
   * @param options `skipGaps`: go on after events that are lost, instead of failing with `OUTPUT_LOST`; the next `seq`
   * tells how many
   */
  events(options?: { readonly skipGaps?: boolean }): AsyncIterable<ProcessEvent>;
  /** Standard output from its first byte. Reads like {@link events}. */
  readonly stdout: ReadableStream<Uint8Array>;
  /** Standard error from its first byte. Reads like {@link events}. */
  readonly stderr: ReadableStream<Uint8Array>;
  /** Standard input; closing it is end-of-file, in a terminal for everyone who reads from then on. Errors at once unless started with `pipeStdin` or `tty`. */
  readonly stdin: WritableStream<Uint8Array>;
  /**
   * The exit status, once the process has exited and its last byte has been received. Output that nobody reads is
   * dropped while it waits; ask for {@link stdout} or {@link events} before (or in the same tick) to keep it.
   */
  wait(options?: { readonly signal?: AbortSignal }): Promise<ExitStatus>;
  /**
   * Sends a signal to the process group; `interrupt` is SIGINT. In a terminal the signals of the keyboard (SIGINT,
   * SIGQUIT, SIGTSTP) go to the foreground job, as Ctrl-C does. When the process has exited, what is left of its group
   * gets the signal.
   * @throws ExecServerError `UNSUPPORTED` when the server knows only `interrupt`
   */
  signal(name: SignalName | "interrupt"): Promise<void>;
  /**
   * Changes the size of its terminal; it gets SIGWINCH.
   * @throws ExecServerError `INVALID_REQUEST` when it has no terminal; `UNSUPPORTED` when the server cannot
   */
  resize(size: TerminalSize): Promise<void>;
  /**
   * Ends the process and everything that came of it, also what has left its process group, session or parent, and
   * background jobs that outlived it. Resolves when nothing is left or can be killed.
   * @throws ExecServerError `UNSUPPORTED` when a grace is asked for and the server knows none
   */
  terminate(options?: TerminateOptions): Promise<Termination>;
}

/** How to end a process. */
export interface TerminateOptions {
  /** SIGTERM first, and SIGKILL for what is left after so many milliseconds. Default 0: SIGKILL at once. */
  readonly graceMs?: number | undefined;
}

/** What {@link Process.terminate} did. */
export interface Termination {
  /** False when the process had exited before. */
  readonly wasRunning: boolean;
  /** Process ids of descendants that could not be killed, such as those of other users. */
  readonly survivors: readonly number[];
}

/** What {@link Processes.list} tells of a process. */
export interface ProcessSummary {
  /** Its name in the session. */
  readonly id: string;
  /** Program and arguments. */
  readonly argv: readonly string[];
  /** `exited`: the leader is gone, its output still open. `closed`: nothing more will come. */
  readonly state: "starting" | "running" | "exited" | "closed";
  /** Process id of the leader, and of the group; undefined until it runs. */
  readonly pid: number | undefined;
  /** Undefined until it has exited. */
  readonly exit: ExitStatus | undefined;
  /** Milliseconds since 1970. */
  readonly startedAtMs: number;
  /** Native path of the directory it was started in; undefined when the server does not tell. */
  readonly cwd: string | undefined;
  /** It runs in a terminal. Undefined when the server does not tell. */
  readonly tty: boolean | undefined;
  /** Bytes it has written to standard output and error. Undefined when the server does not tell. */
  readonly outputBytes: number | undefined;
  /** What it and its descendants use. Undefined when nothing of it runs, or where that cannot be known. */
  readonly usage: ProcessUsage | undefined;
}

/** What a process and its living descendants use together. */
export interface ProcessUsage {
  /** How many they are. */
  readonly processes: number;
  /** Processor time so far, in ms, with that of children that were waited for. */
  readonly cpuTimeMs: number;
  /** Resident memory, in bytes; pages that they share count for each. */
  readonly memoryBytes: number;
}

/** What {@link Processes.retained} finds. */
export interface RetainedOutput {
  /** Oldest first. */
  readonly chunks: readonly { readonly stream: OutputStream; readonly bytes: Uint8Array }[];
  /** Older output is not kept any more. */
  readonly beginningLost: boolean;
  /** There is newer output that did not fit. */
  readonly more: boolean;
}

/** The processes of an environment. */
export interface Processes {
  /** Those of the session that run, or whose output is still kept. @throws `METHOD_NOT_FOUND` (reference server) */
  list(): Promise<readonly ProcessSummary[]>;
  /**
   * A process that something else has started in this session, such as an earlier connection. Its events begin with
   * the oldest that is still kept.
   * @throws ExecServerError `INVALID_REQUEST` when there is none with this id
   */
  attach(id: string): Promise<Process>;
  /**
   * A process of another session on the same server, to watch it beside its owner; whoever knows the session's id may.
   * Input, signals, `resize` and `terminate` are refused (`INVALID_REQUEST`). The process does not wait for those who
   * observe it: what a slow one has missed is missing in {@link Process.events}, which goes on after it; each event
   * whose `seq` is not one more than that of the event before tells how many are missing. `stdout` and `stderr` cannot
   * tell and fail (`OUTPUT_LOST`). The first event is the oldest that is still kept. Its id here is a new UUID.
   * Observing ends with the environment.
   * @throws ExecServerError `UNKNOWN_SESSION`; `INVALID_REQUEST` when the session has no such process, or this one
   * observes too many; `UNSUPPORTED` when the server cannot
   */
  observe(sessionId: string, processId: string): Promise<Process>;
  /**
   * What is kept of a process's output, at most 4 MiB from the oldest on, without taking it from anyone.
   * @throws ExecServerError `INVALID_REQUEST` when there is no process with this id
   */
  retained(id: string): Promise<RetainedOutput>;
  /**
   * Starts a program and resolves once it runs.
   * @throws ExecServerError `ENOENT` (program or cwd missing), `EACCES` (not executable), `ENOTDIR` (cwd is a file),
   * `INVALID_PARAMS` (empty argv, a size, a time or a limit out of range or unknown, a sandbox that makes no sense), `INVALID_REQUEST` (id in
   * use), `UNSUPPORTED` (a terminal or a limit that cannot be had there), `SANDBOX_UNAVAILABLE`
   */
  start(options: StartOptions): Promise<Process>;
}
