/** How processes are ended that do not want to: the order of signals, looks and pauses. */
import type { ProcStat } from "../runtime/proc_stat.ts";

/** So long is tried to kill, in ms. What is left then hangs in the kernel, on a dead disk for example. */
export const KILL_LIMIT_MS = 2_000;
const GRACE_POLL_MS = 25;
/** Between two looks that find nothing: execve(2) hides the mark of a process for a moment. */
const CONFIRM_MS = 2;
/** The pause after a round of kills grows from here: most processes are gone within a millisecond. */
const FIRST_PAUSE_MS = 4;
const LONGEST_PAUSE_MS = 25;
/** From this round on they are stopped before they are killed: a fork bomb is quicker than we. */
const STOP_FROM_ROUND = 3;
/** A round that stops finds new ones as long as some still fork. */
const MAX_STOPS = 40;
/** Rounds in which everything stands still: others stand still too, and what hangs in the kernel never does. */
const MAX_STILL_ROUNDS = 2;
/** After so many looks that found nothing it is believed, although something comes and goes. */
const MAX_EMPTY_LOOKS = 4;
/** At the end of the limit: for those that the last SIGKILL has only just reached. */
const LAST_WAIT_MS = 200;

/** A signal that ends, or prepares the end. */
export type EndSignal = "SIGTERM" | "SIGCONT" | "SIGSTOP" | "SIGKILL";

/** What {@link endAll} acts on. */
export interface Targets {
  /** Signals the groups whose leaders are not reaped, at once and without a look; the leaders. */
  signalGroups(signal: EndSignal): readonly ProcStat[];
  /** Every living target; undefined where that cannot be known. */
  look(): Promise<readonly ProcStat[] | undefined>;
  /** `gone`: it has ended, or its pid is another process's by now. `refused`: not ours to signal. */
  signal(target: ProcStat, signal: EndSignal): "sent" | "gone" | "refused";
  /** True while it exists, be it as a zombie. */
  exists(target: ProcStat): boolean;
  /** True while it lives. */
  isRunning(target: ProcStat): boolean;
  /** Leaders of groups that still have members: for where {@link look} knows nothing. */
  groupsLeft(): readonly number[];
  /** A number that grows while targets may come and go unseen. */
  turnover(): number;
  /** Runs the action while nothing can fork; undefined without running it where that cannot be. */
  still(action: () => Promise<void>): Promise<true | undefined>;
}

/** How {@link endAll} ends them. */
export interface EndOptions {
  /** How long they may take after SIGTERM. 0: no SIGTERM. */
  readonly graceMs: number;
  /** Called just before the first SIGKILL. */
  readonly beforeKill?: (() => void) | undefined;
}

/** Ends all targets; resolves with the pids that could not be killed. */
export async function endAll(
  targets: Targets,
  { graceMs, beforeKill }: EndOptions,
): Promise<readonly number[]> {
  const limit = performance.now() + graceMs + KILL_LIMIT_MS;
  const refused = new Map<ProcStat["pid"], ProcStat>();
  const send = (some: readonly ProcStat[], signal: EndSignal) => {
    for (const one of some) if (targets.signal(one, signal) === "refused") refused.set(one.pid, one);
  };
  const look = async () => {
    const found = await targets.look();
    return found?.filter((one) => refused.get(one.pid)?.startTime !== one.startTime);
  };
  const survivors = (left: readonly number[] = []) => [
    ...new Set([...left, ...[...refused.values()].filter(targets.isRunning).map(({ pid }) => pid)]),
  ];

  if (graceMs > 0 && await ask(targets, { send, look, graceMs })) return survivors();
  beforeKill?.();
  let dying = targets.signalGroups("SIGKILL");
  let pauseMs = FIRST_PAUSE_MS;
  let stillRounds = 0;
  let emptyLooks = 0;
  // A look reads one process after the other: a child may have been born after the list was read, and its parent have
  // died before it was its turn. So where something lived, finding nothing counts only twice.
  let isConfirmed = dying.length === 0;
  for (let round = 1;; round++) {
    await until(() => !dying.some(targets.exists), pauseMs);
    pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS);
    const turnover = targets.turnover();
    let found: readonly ProcStat[] | undefined;
    let isSure: true | undefined;
    if (round >= STOP_FROM_ROUND && stillRounds++ < MAX_STILL_ROUNDS) {
      isSure = await targets.still(async () => {
        found = await look();
        send(found ?? [], "SIGKILL");
      });
    }
    if (!isSure) {
      found = round < STOP_FROM_ROUND ? await look() : await stopAll(look, send);
      send(found ?? [], "SIGKILL");
    }
    dying = found ?? [];
    if (performance.now() > limit) {
      await until(() => !dying.some(targets.isRunning), LAST_WAIT_MS);
      dying = dying.filter(targets.isRunning);
      return survivors(found ? dying.map(({ pid }) => pid) : targets.groupsLeft());
    }
    const left = found ?? targets.groupsLeft();
    if (left.length > 0) {
      isConfirmed = false;
      continue;
    }
    if (isSure || !found) return survivors();
    if (!isConfirmed) {
      isConfirmed = true;
      continue;
    }
    await new Promise((resolve) => setImmediate(resolve)); // a turn, in which the ends of orphans are told
    if (targets.turnover() === turnover || ++emptyLooks === MAX_EMPTY_LOOKS) return survivors();
  }
}

interface Asking {
  readonly send: (some: readonly ProcStat[], signal: EndSignal) => void;
  readonly look: () => Promise<readonly ProcStat[] | undefined>;
  readonly graceMs: number;
}

/** Asks them to end, and those that are stopped to go on so that they can. True when all have. */
async function ask(targets: Targets, { send, look, graceMs }: Asking): Promise<boolean> {
  const limit = performance.now() + graceMs;
  const groups = new Set(targets.signalGroups("SIGTERM").map(({ pid }) => pid));
  targets.signalGroups("SIGCONT");
  let left = await look();
  // A second SIGTERM means "now" to many programs, so nobody gets two; what a handler starts to clean up gets none.
  const others = left?.filter(({ group }) => !groups.has(group)) ?? [];
  send(others, "SIGTERM");
  send(others, "SIGCONT");
  for (let emptyLooks = 0;;) {
    if (!left && targets.groupsLeft().length === 0) return true;
    // Twice, as below.
    emptyLooks = left?.length === 0 ? emptyLooks + 1 : 0;
    if (emptyLooks === 2) return true;
    const rest = limit - performance.now();
    if (rest <= 0) return false;
    await until(() => left !== undefined && !left.some(targets.isRunning), Math.min(rest, GRACE_POLL_MS));
    if (emptyLooks > 0) await new Promise((resolve) => setTimeout(resolve, CONFIRM_MS));
    if (left?.some(targets.isRunning)) continue;
    left = await look();
  }
}

/** Stops all until a look finds none that is not stopped: then nobody is left who could fork. */
async function stopAll(look: Asking["look"], send: Asking["send"]): Promise<readonly ProcStat[] | undefined> {
  const stopped = new Map<number, number>();
  let found = await look();
  for (let stops = 1; stops < MAX_STOPS; stops++) {
    const fresh = found?.filter((one) => stopped.get(one.pid) !== one.startTime) ?? [];
    if (fresh.length === 0) break;
    send(fresh, "SIGSTOP");
    for (const one of fresh) stopped.set(one.pid, one.startTime);
    found = await look();
  }
  return found;
}

/** Waits until it is so, but not longer than so many ms. */
async function until(check: () => boolean, limitMs: number): Promise<void> {
  const limit = performance.now() + limitMs;
  while (!check() && performance.now() < limit) await new Promise((resolve) => setTimeout(resolve, 1));
}
