/** Processes of this machine. */
import process from "node:process";
import { ExecServerError, hasCode, invalidParams, invalidRequest } from "../protocol/error.ts";
import { MAX_OUTPUT_CHUNK_BYTES } from "../protocol/limits.ts";
import { clip } from "../protocol/quote.ts";
import type { ByteSource, Child, ChildExit } from "../runtime/child.ts";
import { deferred } from "../runtime/deferred.ts";
import { spawnChild } from "../runtime/spawn.ts";
import type { ProcessControl, WriteStatus } from "./control.ts";
import { childEnvironment } from "./env_policy.ts";
import { findProgram, requireDirectory } from "./find_program.ts";
import { createOutputLog } from "./output_log.ts";
import type { Retention } from "./retention.ts";
import { signalGroup } from "./process_group.ts";
import { settled } from "./settled.ts";
import { createStdinQueue } from "./stdin_queue.ts";
import type { EnvPolicy, OutputStream, ProcessSummary } from "./trait.ts";

/** What to start; every part is checked by {@link LocalProcesses.start}. */
export interface LocalStart {
  readonly id: string;
  readonly argv: readonly string[];
  /** Native path. */
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  readonly envPolicy?: EnvPolicy | null | undefined;
  readonly pipeStdin: boolean;
  readonly tty: boolean;
  readonly arg0?: string | null | undefined;
  /** The same id and startId again are the same start: nothing is started twice. */
  readonly startId?: string | null | undefined;
}

/** A process of this machine. */
export interface LocalProcess extends ProcessControl {
  readonly argv: readonly string[];
  /** Undefined until it runs. */
  readonly pid: number | undefined;
  /** Milliseconds since 1970. */
  readonly startedAtMs: number;
  /** True until the start is done. */
  readonly starting: boolean;
  /** Resolves after `closed`. */
  readonly ended: Promise<void>;
  /** Kills the group if anything of it may be left, and forgets the pipes. */
  dispose(): void;
}

/** The processes of one session. */
export interface LocalProcesses {
  /** @throws ExecServerError as {@link Processes.start} says */
  start(options: LocalStart): Promise<LocalProcess>;
  get(id: string): LocalProcess | undefined;
  /** Forgets a closed process, so that its id can be used again. */
  remove(id: string): void;
  /** All of them, also those still starting. */
  list(): readonly LocalProcess[];
  /** Kills everything. Resolves when every leader has been reaped. */
  dispose(): Promise<void>;
}

/** An empty table of processes. */
export function createLocalProcesses(retention: Retention): LocalProcesses {
  const table = new Map<string, LocalProcess>();
  const starts = new WeakMap<LocalProcess, { readonly startId: string; readonly running: Promise<void> }>();
  let disposed = false;
  return {
    async start(options) {
      checkStart(options);
      if (disposed) throw invalidRequest("the session has ended");
      const existing = table.get(options.id);
      if (existing) {
        const start = starts.get(existing);
        if (!start || start.startId !== options.startId) {
          throw invalidRequest(`process ${clip(options.id)} already exists`);
        }
        await start.running;
        return existing;
      }
      const started = createLocalProcess(options, retention);
      if (typeof options.startId === "string") {
        starts.set(started.process, { startId: options.startId, running: started.running });
      }
      table.set(options.id, started.process); // before anything is awaited: of two starts with one id only one wins
      try {
        await started.running;
      } catch (error) {
        table.delete(options.id);
        throw error;
      }
      return started.process;
    },
    get: (id) => table.get(id),
    remove: (id) => void table.delete(id),
    list: () => [...table.values()],
    async dispose() {
      disposed = true;
      const all = [...table.values()];
      for (const each of all) each.dispose();
      await Promise.all(all.map((each) => each.ended));
      for (const each of all) each.log.dispose();
      table.clear();
    },
  };
}

/** What execvp(3) runs scripts without an interpreter line with. */
const SHELL = "/bin/sh";

function checkStart(options: LocalStart): void {
  const [program] = options.argv;
  if (program === undefined) throw invalidParams("argv must not be empty");
  if (options.tty) {
    throw new ExecServerError("UNSUPPORTED", "this server has no terminals: start with `tty: false`", {
      rpcCode: -32600,
    });
  }
  const texts = [
    ...options.argv,
    options.arg0 ?? "",
    ...Object.keys(options.env),
    ...Object.values(options.env),
  ];
  const policyTexts = Object.entries(options.envPolicy?.set ?? {}).flat();
  if ([...texts, ...policyTexts].some((text) => text.includes("\0"))) {
    throw new ExecServerError("EINVAL", "nul byte found in provided data", { rpcCode: -32603 });
  }
  if (program === "") {
    throw new ExecServerError("EINVAL", "missing program for pipe spawn", { rpcCode: -32603 });
  }
}

function createLocalProcess(
  options: LocalStart,
  retention: Retention,
): { process: LocalProcess; running: Promise<void> } {
  const log = createOutputLog(retention);
  const startedAtMs = Date.now();
  let state: "starting" | "running" | "exited" = "starting";
  let cancelled = false;
  let child: Child | undefined;
  let stdin: ReturnType<typeof createStdinQueue> | undefined;
  const killed = deferred<void>();
  const ended = deferred<void>();

  const begin = async () => {
    requireDirectory(options.cwd);
    const env = childEnvironment(options.envPolicy, process.env, options.env);
    const file = findProgram(options.argv[0] ?? "", options.cwd, env);
    const [first = file, ...rest] = options.argv;
    const argv = [options.arg0 ?? first, ...rest];
    const how = { cwd: options.cwd, env, stdin: options.pipeStdin };
    const spawned = await spawnChild({ file, argv, ...how }).catch((error: unknown) => {
      // A script without `#!`: Node's and Deno's execvp runs it with the shell (execvp(3)); Bun's spawn reports it.
      if (hasCode(error) && error.code === "ENOEXEC") {
        return spawnChild({ file: SHELL, argv: [SHELL, file, ...rest], ...how });
      }
      throw error;
    });
    child = spawned;
    if (spawned.stdin) stdin = createStdinQueue(spawned.stdin);
    if (cancelled) signalGroup(spawned.pid, "SIGKILL");
    state = "running";
    watch(spawned).then(() => ended.resolve(), ended.reject);
    if (cancelled) throw invalidRequest(`process ${clip(options.id)} start was cancelled`);
  };

  const watch = async (spawned: Child) => {
    const pumps = Promise.all([pump(spawned.stdout, "stdout"), pump(spawned.stderr, "stderr")]);
    const exit = await spawned.exited;
    state = "exited";
    stdin?.destroy();
    await Promise.race([pumps, settled([spawned.stdout, spawned.stderr], log, killed.promise)]);
    log.appendExited(exitCodeOf(exit));
    // A killed process is over even when a descendant that left the group still holds the pipes.
    await Promise.race([pumps, killed.promise]);
    spawned.stdout.close();
    spawned.stderr.close();
    await pumps;
    log.appendClosed();
  };

  const pump = async (source: ByteSource, stream: OutputStream) => {
    for (;;) {
      const bytes = await source.read();
      if (bytes === null) return;
      for (let from = 0; from < bytes.length; from += MAX_OUTPUT_CHUNK_BYTES) {
        log.append(stream, bytes.subarray(from, from + MAX_OUTPUT_CHUNK_BYTES));
      }
      const room = log.room();
      if (room) await Promise.race([room, killed.promise]);
    }
  };

  const kill = () => {
    if (child) signalGroup(child.pid, "SIGKILL");
    killed.resolve();
  };

  const self: LocalProcess = {
    id: options.id,
    firstSeq: 1,
    takesInput: options.pipeStdin,
    argv: options.argv,
    startedAtMs,
    get pid() {
      return child?.pid;
    },
    log,
    get starting() {
      return state === "starting";
    },
    ended: ended.promise,
    async write(bytes, writeId): Promise<WriteStatus> {
      if (state === "starting") return "starting";
      return await (stdin?.write(bytes, writeId) ?? "stdinClosed");
    },
    closeStdin(): Promise<WriteStatus> {
      if (state === "starting") return Promise.resolve("starting");
      return Promise.resolve(stdin?.end() ?? "stdinClosed");
    },
    interrupt() {
      if (child && state === "running") signalGroup(child.pid, "SIGINT");
      return Promise.resolve();
    },
    terminate() {
      if (state === "starting") cancelled = true;
      if (state === "running") kill();
      return Promise.resolve(state !== "exited");
    },
    dispose() {
      cancelled = true;
      if (!log.closed) kill();
    },
  };
  const running = begin();
  running.catch(() => ended.resolve());
  return { process: self, running };
}

/** 128 + signal number, as shells report it (bash(1), EXIT STATUS). */
function exitCodeOf(exit: ChildExit): number {
  return exit.signal === null ? exit.code ?? 1 : 128 + exit.signal;
}

/** What may be told of a process. */
export function summaryOf(one: LocalProcess): ProcessSummary {
  const { id, argv, pid, startedAtMs, starting, log } = one;
  const state = starting
    ? "starting"
    : log.closed
    ? "closed"
    : log.exitCode !== undefined
    ? "exited"
    : "running";
  return { id, argv, state, pid, exitCode: log.exitCode, startedAtMs };
}
