/** A look at this machine's processes, as the decision about families needs it. */
import process from "node:process";
import { isSubreaper, orphansReaped } from "../runtime/orphans.ts";
import { ownedChildren } from "../runtime/owned_children.ts";
import type { OwnCgroup } from "./cgroup.ts";
import { marksIn } from "./family_mark.ts";
import { descendantsOf, type Scene } from "./family_members.ts";
import {
  listPids,
  type ProcStat,
  type ProcTable,
  readEnviron,
  readTable,
  readTableInSlices,
} from "../runtime/proc_stat.ts";

/** Ours, and no member of any family. */
export const outsiders: Set<number> = new Set();
/** Orphans that belong to nobody, by pid: their start times. */
export const nobodys: Map<number, number> = new Map();
/** What was read from an environment once: it does not become truer, a program may overwrite its own. */
const marks = new Map<number, { readonly startTime: number; readonly numbers: readonly number[] }>();

let cgroup: OwnCgroup | undefined;
let opening: Promise<void> | undefined;
let unseen = 0;
let next: Promise<Scene | undefined> | undefined;
let current: Promise<unknown> = Promise.resolve();

/** What is started from now on is born in this cgroup, once it has been entered; see {@link mayStart}. */
export function useCgroup(own: OwnCgroup | undefined): void {
  opening = own?.entered.then((isIn) => {
    cgroup = isIn ? own : undefined;
    opening = undefined;
  });
}

/** To be awaited before a process is started: until a cgroup that is to be used has been entered. */
export function mayStart(): Promise<void> | undefined {
  return opening;
}

/** The cgroup in use. */
export function cgroupInUse(): OwnCgroup | undefined {
  return cgroup;
}

/** True when every descendant of what is started now can be told from strangers. */
export function hasUniverse(): boolean {
  return cgroup !== undefined || isSubreaper();
}

/**
 * Looks at all processes. Undefined without /proc. Who asks while a look is under way gets the next one, together with
 * all others who ask: a look must begin after the question.
 */
export function look(): Promise<Scene | undefined> {
  next ??= current.then(async () => {
    next = undefined;
    const pids = listPids();
    if (pids.length === 0) return undefined;
    const table = await readTableInSlices(pids);
    unseen += table.vanished;
    for (const [pid, { startTime }] of marks) {
      if (table.processes.get(pid)?.startTime !== startTime) marks.delete(pid);
    }
    for (const [pid, startTime] of nobodys) {
      if (table.processes.get(pid)?.startTime !== startTime) nobodys.delete(pid);
    }
    return sceneOf(table);
  });
  const asked = next;
  current = asked.catch(() => {});
  return asked;
}

/** As {@link look}, in one go; with a cgroup only at what is in it. */
export function lookAtOnce(): Scene {
  return sceneOf(readTable(cgroup?.processes() ?? listPids()));
}

/** Grows while descendants come and go that are too quick to be seen, so that finding none means little. */
export function turnover(): number {
  if (isSubreaper()) return orphansReaped();
  return cgroup ? unseen : 0;
}

function sceneOf({ processes }: ProcTable): Scene {
  const self = process.pid;
  return {
    processes,
    self,
    outsiders,
    universe: universeOf(processes),
    owned: ownedChildren,
    nobodys,
    marksOf,
  };
}

function universeOf(processes: ReadonlyMap<number, ProcStat>): ReadonlySet<number> | undefined {
  if (!hasUniverse()) return undefined;
  const universe = isSubreaper() ? descendantsOf(process.pid, processes) : new Set<number>();
  for (const pid of cgroup?.processes() ?? []) {
    if (!processes.has(pid)) unseen++; // born while we read
    universe.add(pid);
  }
  universe.delete(process.pid);
  for (const pid of outsiders) universe.delete(pid);
  return universe;
}

function marksOf({ pid, startTime }: ProcStat): readonly number[] {
  const before = marks.get(pid);
  if (before?.startTime === startTime) return before.numbers;
  const environ = readEnviron(pid);
  const numbers = marksIn(environ);
  // In the middle of execve(2) there is none for a moment.
  if (environ !== "") marks.set(pid, { startTime, numbers });
  return numbers;
}
