/** One process of this machine, from its start to the last byte. */
import { invalidRequest } from "../protocol/error.ts";
import { MAX_OUTPUT_CHUNK_BYTES } from "../protocol/limits.ts";
import { clip } from "../protocol/quote.ts";
import type { ByteSource, ChildExit } from "../runtime/child.ts";
import { deferred } from "../runtime/deferred.ts";
import type { ProcessControl, WriteStatus } from "./control.ts";
import { exitStatus, signalledInside } from "./exit_status.ts";
import { createFamily, endFamilies, type Family, signalGroupLeft } from "./family.ts";
import { launch, type Launched } from "./launch.ts";
import type { LocalStart } from "./local.ts";
import { readOomKills } from "./oom.ts";
import { createOutputLog } from "./output_log.ts";
import { foregroundGroup, signalGroup } from "./process_group.ts";
import type { Retention } from "./retention.ts";
import { settled } from "./settled.ts";
import { createStdinQueue } from "./stdin_queue.ts";
import { lastOf, looksDenied } from "./sandbox_denied.ts";
import type { ExitStatus, OutputStream, SignalName, TerminalSize } from "./trait.ts";

/** A process of this machine. */
export interface LocalProcess extends ProcessControl {
  readonly argv: readonly string[];
  /** Native path. */
  readonly cwd: string;
  readonly tty: boolean;
  /** Undefined until it runs. */
  readonly pid: number | undefined;
  /** Milliseconds since 1970. */
  readonly startedAtMs: number;
  /** True until the start is done. */
  readonly starting: boolean;
  /** True when it runs in a sandbox. */
  readonly sandboxed: boolean;
  /** It and all that came of it. */
  readonly family: Family;
  /** Resolves after `closed`. */
  readonly ended: Promise<void>;
  /** It is being ended with its session, which says how far that is. */
  abandon(step: AbandonStep): void;
}

/**
 * `asked`: it is to end by itself. `killed`: now. `ended`: all that came of it has been ended. `survived`: its leader
 * could not be, and nobody is to read it any more.
 */
export type AbandonStep = "asked" | "killed" | "ended" | "survived";

/** Signals that a terminal's keyboard sends to the foreground job (termios(3), ISIG). */
const KEYBOARD_SIGNALS: ReadonlySet<SignalName> = new Set(["SIGINT", "SIGQUIT", "SIGTSTP"]);

/**
 * Starts one; `running` rejects when it cannot be started.
 * @param families where its family is from the time it runs until nothing is left of it
 */
export function createLocalProcess(
  options: LocalStart,
  retention: Retention,
  families: Set<Family>,
): { process: LocalProcess; running: Promise<void> } {
  const log = createOutputLog(retention);
  const family = createFamily(families);
  const startedAtMs = Date.now();
  const oomKillsBefore = readOomKills();
  let state: "starting" | "running" | "exited" = "starting";
  let cancelled = false;
  let terminated = false;
  let timedOut = false;
  let launched: Launched | undefined;
  const told = new Set<SignalName>();
  // What comes while it is being started: a sandbox takes some ms, and the client need not wait for the answer.
  const signalsBefore = new Set<SignalName>();
  let sizeBefore: TerminalSize | undefined;
  let lastErrors: Uint8Array = new Uint8Array();
  let stdin: ReturnType<typeof createStdinQueue> | undefined;
  let timer: NodeJS.Timeout | undefined;
  const killed = deferred<void>();
  const ended = deferred<void>();

  const begin = async () => {
    const child = await launch(options, family.environment, family.begin).catch((error: unknown) => {
      family.leaderEnded(); // of a sandbox that did not stand
      throw error;
    });
    launched = child;
    family.begin(child.pid);
    if (child.forgotten) family.whenForgotten(child.forgotten);
    if (child.input) stdin = createStdinQueue(child.input, { terminal: options.tty, unread: child.unread });
    state = "running";
    if (cancelled) void end(0);
    watch(child).then(() => ended.resolve(), ended.reject);
    if (cancelled) throw invalidRequest(`process ${clip(options.id)} start was cancelled`);
    if (typeof options.timeoutMs === "number") timer = setTimeout(timeout, options.timeoutMs);
    if (sizeBefore) child.resize?.(sizeBefore);
    signalsBefore.forEach(tell);
  };

  const watch = async (child: Launched) => {
    const sources = child.outputs.map(({ source }) => source);
    const pumps = Promise.all(child.outputs.map(({ source, stream }) => pump(source, stream)));
    let drained = false;
    pumps.then(() => drained = true, () => {});
    const exit = await child.exited;
    state = "exited";
    family.leaderEnded();
    stdin?.destroy();
    // Not before: one that cannot be killed goes on, and is held to its budget.
    void killed.promise.then(log.takeRest);
    await Promise.race([pumps, settled(sources, log)]);
    if (drained && !child.release) {
      clearTimeout(timer);
      return log.appendEnd(endOf(child, exit)); // nothing is left to wait for
    }
    log.appendExited(endOf(child, exit));
    // A killed process is over even when somebody who cannot be killed, or is nobody's, still holds the pipes.
    await Promise.race([pumps, killed.promise]);
    for (const source of sources) source.close();
    await pumps;
    clearTimeout(timer);
    await child.release?.();
    log.appendClosed();
  };

  const endOf = (child: Launched, reaped: ChildExit): ExitStatus => {
    const exit = child.inside ? signalledInside(reaped, told) : reaped;
    const mayBeKilled = exit.signal === 9 || child.inside !== undefined && exit.code === 128 + 9;
    const ending = { timedOut, terminated, oomKilled: mayBeKilled && wasOomKill() };
    const status = exitStatus(exit, ending);
    const isDenied = child.inside !== undefined && !terminated && !timedOut &&
      looksDenied(status, lastErrors);
    return isDenied ? { ...status, sandboxDenied: true } : status;
  };

  const pump = async (source: ByteSource, stream: OutputStream) => {
    for (;;) {
      const bytes = await source.read();
      if (bytes === null) return;
      if (launched?.inside && stream !== "stdout") lastErrors = lastOf(lastErrors, bytes);
      for (let from = 0; from < bytes.length; from += MAX_OUTPUT_CHUNK_BYTES) {
        log.append(stream, bytes.subarray(from, from + MAX_OUTPUT_CHUNK_BYTES));
      }
      const room = log.room();
      if (room) await room;
    }
  };

  const wasOomKill = () => {
    if (terminated || timedOut || cancelled || oomKillsBefore === undefined) return false;
    return (readOomKills() ?? 0) > oomKillsBefore;
  };

  const timeout = () => {
    timedOut ||= state === "running";
    void end(options.timeoutGraceMs ?? 0);
  };

  const kill = () => {
    if (launched && state === "running") signalGroup(launched.pid, "SIGKILL");
    killed.resolve();
  };

  /** Shells in a terminal ignore SIGTERM; what they get when a terminal goes is this. */
  const hangUp = () => {
    if (options.tty) tell("SIGHUP");
  };

  /** Signals the program's group: in a sandbox not bwrap, which would take the program along. */
  const tell = (signal: SignalName) => {
    if (state === "starting") signalsBefore.add(signal);
    if (!launched || state !== "running") return;
    told.add(signal);
    const group = launched.inside && signal !== "SIGKILL" ? launched.inside.group() : launched.pid;
    if (group === undefined) return;
    const ofKeyboard = options.tty && KEYBOARD_SIGNALS.has(signal);
    signalGroup((ofKeyboard && foregroundGroup(group)) || group, signal);
  };

  const end = async (graceMs: number) => {
    if (graceMs === 0) kill();
    else hangUp();
    told.add("SIGTERM");
    const survivors = await endFamilies([family], { graceMs, beforeKill: kill });
    // Nobody was killed when all ended within the grace; it is over all the same, whatever is in the pipes.
    killed.resolve();
    return survivors;
  };

  const self: LocalProcess = {
    id: options.id,
    firstSeq: 1,
    get sandboxed() {
      return launched?.inside !== undefined;
    },
    takesInput: options.pipeStdin || options.tty,
    argv: options.argv,
    cwd: options.cwd,
    tty: options.tty,
    startedAtMs,
    family,
    get pid() {
      return launched?.pid;
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
    async closeStdin({ final = false } = {}): Promise<WriteStatus> {
      if (state === "starting") return "starting";
      return await (stdin?.end(final) ?? "stdinClosed");
    },
    async signal(name) {
      const signal = name === "interrupt" ? "SIGINT" : name;
      if (state === "exited") await signalGroupLeft(family, signal);
      else tell(signal);
    },
    resize(size) {
      if (!options.tty) return Promise.reject(invalidRequest(`process ${clip(options.id)} has no terminal`));
      if (state === "starting") sizeBefore = size;
      else launched?.resize?.(size);
      return Promise.resolve();
    },
    async terminate({ graceMs = 0 } = {}) {
      const wasRunning = state !== "exited";
      if (state === "starting") {
        cancelled = true;
        return { wasRunning, survivors: [] };
      }
      terminated ||= wasRunning;
      return { wasRunning, survivors: await end(graceMs) };
    },
    abandon(step) {
      cancelled = true;
      terminated ||= state === "running";
      if (log.closed) return;
      if (step === "asked") hangUp();
      else if (step === "killed") kill();
      else killed.resolve(); // as in `end`
      // Else it would fill a log that nobody reads or bounds any more.
      if (step === "survived") { for (const { source } of launched?.outputs ?? []) source.close(); }
    },
  };
  const running = begin();
  running.catch(() => {
    if (state === "starting") ended.resolve();
  });
  return { process: self, running };
}
