/** Processes of this machine. */
import { ExecServerError, invalidParams, invalidRequest } from "../protocol/error.ts";
import { MAX_TERMINAL_SIDE, MAX_TIMER_MS } from "../protocol/limits.ts";
import { clip } from "../protocol/quote.ts";
import { endFamilies, type Family, usageOf } from "./family.ts";
import { type AbandonStep, createLocalProcess, type LocalProcess } from "./local_process.ts";
import type { ProcessQuota } from "./quota.ts";
import type { Retention } from "./retention.ts";
import type { Enforced } from "./sandboxed.ts";
import type { EnvPolicy, ProcessSummary, ResourceLimits, TerminalSize } from "./trait.ts";

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
  readonly size?: TerminalSize | null | undefined;
  readonly arg0?: string | null | undefined;
  readonly timeoutMs?: number | null | undefined;
  readonly timeoutGraceMs?: number | null | undefined;
  readonly limits?: ResourceLimits | null | undefined;
  /** The same id and startId again are the same start: nothing is started twice. */
  readonly startId?: string | null | undefined;
  /** What it is held to; absent: nothing. */
  readonly enforced?: Enforced | undefined;
}

/** The processes of one session. */
export interface LocalProcesses {
  /** @throws ExecServerError as {@link Processes.start} says */
  start(options: LocalStart): Promise<LocalProcess>;
  get(id: string): LocalProcess | undefined;
  /** Forgets a closed process, so that its id can be used again. What it left running stays the session's. */
  remove(id: string): void;
  /** True when nothing is kept, and nothing runs that was ever started here. */
  readonly isEmpty: boolean;
  /** How many are kept: running, starting or ended. */
  readonly size: number;
  /** All of them, also those still starting; the oldest first. One that has been passed may be removed meanwhile. */
  all(): Iterable<LocalProcess>;
  /** What may be told of them. */
  summaries(): readonly ProcessSummary[];
  /**
   * Ends everything that was ever started here, SIGTERM first when there is a grace. Resolves when nothing is left that
   * can be killed and every leader of that has been reaped, whatever is in the pipes.
   */
  dispose(options?: { readonly graceMs?: number }): Promise<void>;
}

const UNCOUNTED: ProcessQuota = { take: () => () => {} };

/**
 * An empty table of processes.
 * @param quota says how many may run
 */
export function createLocalProcesses(
  retention: Retention,
  quota: ProcessQuota = UNCOUNTED,
): LocalProcesses {
  const table = new Map<string, LocalProcess>();
  const starts = new WeakMap<LocalProcess, { readonly startId: string; readonly running: Promise<void> }>();
  const families = new Set<Family>(); // each leaves by itself when nothing is left of it
  let running = 0; // counted, not looked up: thousands that have ended may be kept
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
      const leave = quota.take(running);
      running++;
      const started = createLocalProcess(options, retention, families);
      started.process.ended.finally(() => {
        running--;
        leave();
      }).catch(() => {});
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
    get isEmpty() {
      return table.size === 0 && families.size === 0;
    },
    get size() {
      return table.size;
    },
    all: () => table.values(),
    summaries() {
      const all = [...table.values()];
      const usage = usageOf(all.filter(({ starting }) => !starting).map(({ family }) => family));
      return all.map((one) => summaryOf(one, usage.get(one.family)));
    },
    async dispose({ graceMs = 0 } = {}) {
      disposed = true;
      const all = [...table.values()];
      const abandon = (step: AbandonStep) => {
        for (const each of all) each.abandon(step);
      };
      abandon(graceMs === 0 ? "killed" : "asked");
      const left = await endFamilies([...families], { graceMs, beforeKill: () => abandon("killed") });
      // A leader that cannot be killed is not reaped either: who waited for it would wait for ever.
      const survived = ({ pid }: LocalProcess) => pid !== undefined && left.includes(pid);
      for (const each of all) each.abandon(survived(each) ? "survived" : "ended");
      await Promise.all(all.filter((each) => !survived(each)).map((each) => each.ended));
      for (const family of [...families]) family.forget();
      for (const each of all) each.log.dispose();
      table.clear();
    },
  };
}

function checkStart(options: LocalStart): void {
  const [program] = options.argv;
  if (program === undefined) throw invalidParams("argv must not be empty");
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
    const kind = options.tty ? "PTY" : "pipe";
    throw new ExecServerError("EINVAL", `missing program for ${kind} spawn`, { rpcCode: -32603 });
  }
  if (options.size) {
    requireWithin("size.rows", options.size.rows, 1, MAX_TERMINAL_SIDE);
    requireWithin("size.cols", options.size.cols, 1, MAX_TERMINAL_SIDE);
  }
  if (typeof options.timeoutMs === "number") requireWithin("timeoutMs", options.timeoutMs, 1, MAX_TIMER_MS);
  if (typeof options.timeoutGraceMs === "number") {
    if (typeof options.timeoutMs !== "number") throw invalidParams("timeoutGraceMs takes a timeoutMs");
    requireWithin("timeoutGraceMs", options.timeoutGraceMs, 0, MAX_TIMER_MS);
  }
}

/** The wire has checked its numbers already; this is for programs that use this machine directly. */
function requireWithin(name: string, value: number, least: number, most: number): void {
  if (Number.isInteger(value) && value >= least && value <= most) return;
  throw invalidParams(`${name} must be a whole number from ${least} to ${most}`);
}

function summaryOf(one: LocalProcess, usage: ProcessSummary["usage"]): ProcessSummary {
  const { id, argv, cwd, tty, pid, startedAtMs, starting, log } = one;
  const state = starting ? "starting" : log.closed ? "closed" : log.exit ? "exited" : "running";
  return {
    id,
    argv,
    cwd,
    tty,
    state,
    pid,
    exit: log.exit,
    startedAtMs,
    outputBytes: log.receivedBytes,
    usage: usage && usage.processes > 0 ? usage : undefined,
  };
}
