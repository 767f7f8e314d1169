/**
 * A started process and everything that came of it: found by parent, session, group and a mark in the environment, and
 * where there is a subreaper or a cgroup also by these. Needs /proc: without it (macOS) a family is its group only.
 */
import process from "node:process";
import { cgroupInUse, hasUniverse, look, lookAtOnce, outsiders, turnover } from "./family_look.ts";
import { endAll, type EndOptions, type Targets } from "./family_end.ts";
import { markFor } from "./family_mark.ts";
import { membersOf, type Scene } from "./family_members.ts";
import { exists, sendTo } from "./family_signal.ts";
import { send } from "../runtime/signal.ts";
import { whileStill } from "./family_still.ts";
import { allBegun, type Begun, belongingIn, drop, enter, sweepSoon } from "./family_table.ts";
import {
  isLiving,
  isRunning,
  pageBytes,
  type ProcStat,
  readStat,
  TICKS_PER_SECOND,
} from "../runtime/proc_stat.ts";

/** A started process and everything that came of it. */
export interface Family {
  /** To be laid over the child's environment: the mark that every descendant inherits. */
  readonly environment: Readonly<Record<string, string>>;
  /**
   * The leader runs; its pid is the id of its session and group. Call it in the same turn as the spawn.
   * @param program for a leader that is a sandbox, the group of the program inside: that is what SIGTERM is for
   */
  begin(leader: number, program?: () => number | undefined): void;
  /** The leader has been reaped. Soon after, a look forgets the family if it left nothing. */
  leaderEnded(): void;
  /** True from its begin until it is known that nothing is left of it. Costs nothing. */
  mayHaveMembers(): boolean;
  /** Nothing of it is of interest any more. */
  forget(): void;
  /** Calls back once when it is forgotten: nothing of it is left, or of interest. */
  whenForgotten(action: () => void): void;
}

/** What the living members of a family use. */
export interface Usage {
  /** Theirs, and that of children they have waited for. */
  readonly cpuTimeMs: number;
  /** Resident memory; what members share counts for each. */
  readonly memoryBytes: number;
  readonly processes: number;
}

/** How families are ended. */
export interface EndFamiliesOptions {
  /** How long they may take after SIGTERM. Default 0: SIGKILL at once. */
  readonly graceMs?: number;
  /** Called just before the first SIGKILL. */
  readonly beforeKill?: () => void;
}

const states = new WeakMap<Family, Begun>();
let lastNumber = 0;

/**
 * A family that has not begun.
 * @param among it adds itself when it begins and takes itself out when it is forgotten
 */
export function createFamily(among?: Set<Family>): Family {
  const number = ++lastNumber;
  let state: Begun | undefined;
  let after: (() => void) | undefined;
  const family: Family = {
    environment: markFor(number),
    begin(leader, program) {
      if (state) return;
      let startTime: number | undefined;
      // Reaped already: whatever it left began after us. Nothing can be the leader itself then.
      const learned = () => startTime ??= (readStat(leader) ?? readStat(process.pid))?.startTime ?? 0;
      // Behind the answer to the start, which need not wait for it, and before anything can be reaped.
      process.nextTick(learned);
      const onForget = () => {
        states.delete(family);
        among?.delete(family);
        after?.();
      };
      state = {
        number,
        leader,
        get startTime() {
          return learned();
        },
        bounded: hasUniverse(),
        known: new Map(),
        leaderEnded: false,
        program,
        onForget,
      };
      states.set(family, state);
      among?.add(family);
      enter(state);
    },
    leaderEnded() {
      if (!state || !states.has(family)) return;
      state.leaderEnded = true;
      sweepSoon();
    },
    mayHaveMembers: () => states.has(family),
    forget() {
      if (state) drop(state);
    },
    whenForgotten(action) {
      if (states.has(family)) after = action;
      else action();
    },
  };
  return family;
}

/**
 * Ends families: SIGTERM to every member first when there is a grace, then SIGKILL, then looks again until nothing is
 * left. The leaders' groups are signalled before it returns. Resolves with the pids that could not be killed (another
 * user's, or stuck in the kernel), after `graceMs` + 2 s at most. What is ended is forgotten.
 */
export async function endFamilies(
  families: readonly Family[],
  options: EndFamiliesOptions = {},
): Promise<readonly number[]> {
  const ending = begunOf(families);
  if (ending.length === 0) {
    options.beforeKill?.();
    return [];
  }
  const membersIn = (scene: Scene) => {
    const { members } = belongingIn(scene);
    return unique(ending.flatMap((family) => members.get(family) ?? []));
  };
  const survivors = await endAll(targets(ending, membersIn), endOptions(options));
  if (survivors.length === 0) { for (const family of ending) drop(family); }
  return survivors;
}

/**
 * Ends all families, and every other descendant too: orphans that belong to nobody. For the end of the server: nothing
 * may be started any more. Helpers in our own session are left alone, except that a cgroup dies as a whole.
 */
export async function endEverything(options: EndFamiliesOptions = {}): Promise<readonly number[]> {
  const ending = allBegun();
  const all = targets(ending, everybodyIn);
  // Nothing is to live on, so the cgroup need not stand still: it is killed.
  const still: Targets["still"] = async (action) => {
    if (!await cgroupInUse()?.kill()) return undefined;
    await action();
    return true;
  };
  const survivors = await endAll({ ...all, still }, endOptions(options));
  if (survivors.length === 0) { for (const family of ending) drop(family); }
  return survivors;
}

function everybodyIn(scene: Scene): readonly ProcStat[] {
  const { members } = belongingIn(scene);
  const ownSession = scene.processes.get(scene.self)?.session;
  const inUniverse = [...scene.universe ?? []].flatMap((pid) => scene.processes.get(pid) ?? [])
    .filter((one) => isLiving(one) && one.session !== ownSession && !outsiders.has(one.pid));
  return unique([...inUniverse, ...[...members.values()].flat()]);
}

/** What the living members of these families use. One look for all; takes about 10 µs for each process. */
export function usageOf(families: readonly Family[]): Map<Family, Usage> {
  const usage = new Map<Family, Usage>();
  if (families.length === 0) return usage;
  const { members } = membersOf(allBegun(), lookAtOnce());
  for (const family of families) {
    const state = states.get(family);
    const some = (state && members.get(state)) ?? [];
    const sum = (what: (one: ProcStat) => number) => some.reduce((total, one) => total + what(one), 0);
    usage.set(family, {
      cpuTimeMs: sum(({ cpuTicks }) => cpuTicks) * 1_000 / TICKS_PER_SECOND,
      memoryBytes: sum(({ residentPages }) => residentPages) * pageBytes(),
      processes: some.length,
    });
  }
  return usage;
}

/**
 * Sends a signal to what is left of the group of a leader that has been reaped. To each one on its own: once the last
 * of them is gone, the number of the group may be another's.
 */
export async function signalGroupLeft(family: Family, signal: NodeJS.Signals): Promise<void> {
  if (!family.mayHaveMembers()) return;
  const scene = await look();
  const state = states.get(family); // after the look: it may have been forgotten
  if (!scene || !state) return;
  const left = belongingIn(scene).members.get(state) ?? [];
  for (const one of left) if (one.group === state.leader) sendTo(one, signal);
}

/** Sends a signal once to everything that {@link endEverything} would end. */
export async function signalEverything(signal: NodeJS.Signals): Promise<void> {
  const scene = await look();
  if (scene) { for (const one of everybodyIn(scene)) sendUnlessSandbox(one, signal); }
  else for (const { leader } of allBegun()) send(-leader, signal);
}

/** A sandbox that gets SIGTERM kills what is in it, which is to get SIGTERM itself and time to end. */
function sendUnlessSandbox(one: ProcStat, signal: NodeJS.Signals): ReturnType<typeof sendTo> {
  const isSandbox = signal !== "SIGKILL" && signal !== "SIGSTOP" && signal !== "SIGCONT" &&
    allBegun().some(({ leader, startTime, program }) =>
      leader === one.pid && startTime === one.startTime && program?.() !== undefined
    );
  return isSandbox ? "sent" : sendTo(one, signal);
}

function begunOf(families: readonly Family[]): Begun[] {
  return families.flatMap((family) => states.get(family) ?? []);
}

function unique(some: readonly ProcStat[]): ProcStat[] {
  return [...new Map(some.map((one) => [one.pid, one])).values()];
}

function endOptions({ graceMs = 0, beforeKill }: EndFamiliesOptions): EndOptions {
  return { graceMs, beforeKill };
}

function targets(families: readonly Begun[], livingIn: (scene: Scene) => readonly ProcStat[]): Targets {
  return {
    signalGroups: (signal) =>
      families.filter((family) => !family.leaderEnded).flatMap(({ leader, program }) => {
        const group = signal === "SIGTERM" ? program?.() ?? leader : leader;
        const before = readStat(group);
        send(-group, signal);
        return before ?? [];
      }),
    async look() {
      const scene = await look();
      return scene && livingIn(scene);
    },
    signal: sendUnlessSandbox,
    exists,
    isRunning,
    groupsLeft: () => families.map(({ leader }) => leader).filter((leader) => send(-leader, 0) !== "gone"),
    turnover,
    still: whileStill,
  };
}
