/** Processes of an environment, local or remote. */

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
  | { readonly type: "exited"; readonly seq: number; readonly exitCode: number }
  | { readonly type: "closed"; readonly seq: number };

/** How a process ended. */
export interface ExitStatus {
  /** The exit code; 128 + the signal's number when a signal ended it. */
  readonly exitCode: number;
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
  /** Run it in a terminal. Default false. */
  readonly tty?: boolean;
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
   * slow holds back the process, not memory: about 1 MiB waits, then the process does.
   */
  events(): AsyncIterable<ProcessEvent>;
  /** Standard output from its first byte. Reads like {@link events}. */
  readonly stdout: ReadableStream<Uint8Array>;
  /** Standard error from its first byte. Reads like {@link events}. */
  readonly stderr: ReadableStream<Uint8Array>;
  /** Standard input; closing it is end-of-file. Errors at once unless started with `pipeStdin` or `tty`. */
  readonly stdin: WritableStream<Uint8Array>;
  /**
   * The exit status, once the process has exited and its last byte has been received. Output that nobody reads is
   * dropped while it waits; ask for {@link stdout} or {@link events} before (or in the same tick) to keep it.
   */
  wait(options?: { readonly signal?: AbortSignal }): Promise<ExitStatus>;
  /** Sends a signal to the process group. A process that has exited is left alone. */
  signal(name: "interrupt"): Promise<void>;
  /** Kills the whole process group at once. False when the process had exited before. */
  terminate(): Promise<boolean>;
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
  readonly exitCode: number | undefined;
  /** Milliseconds since 1970. */
  readonly startedAtMs: number;
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
   * What is kept of a process's output, at most 4 MiB from the oldest on, without taking it from anyone.
   * @throws ExecServerError `INVALID_REQUEST` when there is no process with this id
   */
  retained(id: string): Promise<RetainedOutput>;
  /**
   * Starts a program and resolves once it runs.
   * @throws ExecServerError `ENOENT` (program or cwd missing), `EACCES` (not executable), `ENOTDIR` (cwd is a file),
   * `INVALID_PARAMS` (empty argv), `INVALID_REQUEST` (id in use), `UNSUPPORTED` (tty where none can be had)
   */
  start(options: StartOptions): Promise<Process>;
}
