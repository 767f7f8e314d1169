/** Makes descendants stand still that fork and end faster than we can look: they would be missed for ever. */
import { readdirSync, readFileSync } from "node:fs";
import process from "node:process";
import { isSubreaper } from "../runtime/orphans.ts";
import { ownedChildren } from "../runtime/owned_children.ts";
import { cgroupInUse, outsiders } from "./family_look.ts";
import { send } from "../runtime/signal.ts";
import { isLiving, isRunning, type ProcStat, readStat } from "../runtime/proc_stat.ts";

/** One try takes 0.1 ms, and the quickest of them needs as long to fork. */
const MAX_TRIES = 200;
/** So many tries without a new orphan: nobody is left who makes them. */
const QUIET_TRIES = 10;

/**
 * Runs the action while no descendant runs (with a cgroup), or while no orphan runs (as subreaper). Undefined, without
 * running it, where neither can be.
 */
export async function whileStill(action: () => Promise<void>): Promise<true | undefined> {
  const run = async (): Promise<true> => {
    await action();
    return true;
  };
  return await cgroupInUse()?.still(run) ?? await whileOrphansAreStill(run);
}

async function whileOrphansAreStill(run: () => Promise<true>): Promise<true | undefined> {
  if (!isSubreaper()) return undefined;
  const stopped = stopOrphans();
  try {
    return stopped && await run();
  } finally {
    for (const one of stopped ?? []) if (isRunning(one)) send(one.pid, "SIGCONT"); // who was not meant
  }
}

/** Stops every orphan in one go, first and asking later: who asks first comes too late. Undefined without success. */
function stopOrphans(): ProcStat[] | undefined {
  const seen = new Set<number>();
  const stopped: ProcStat[] = [];
  const ownSession = readStat(process.pid)?.session;
  let quiet = 0;
  for (let tries = 0; tries < MAX_TRIES && quiet < QUIET_TRIES; tries++) {
    const children = ownChildren();
    if (!children) return undefined;
    quiet++;
    for (const pid of children) {
      if (seen.has(pid) || ownedChildren.has(pid) || outsiders.has(pid)) continue;
      seen.add(pid);
      quiet = 0;
      if (send(pid, "SIGSTOP") !== "sent") continue;
      const one = readStat(pid);
      if (one?.session === ownSession) send(pid, "SIGCONT"); // a helper of the runtime
      else if (one && isLiving(one)) stopped.push(one);
    }
  }
  return stopped;
}

/** The direct children, zombies too; undefined on a kernel without CONFIG_PROC_CHILDREN. */
function ownChildren(): number[] | undefined {
  try {
    return readdirSync("/proc/self/task").flatMap((thread) =>
      readFileSync(`/proc/self/task/${thread}/children`, "latin1").split(" ").map(Number).filter((pid) =>
        pid > 0
      )
    );
  } catch {
    return undefined;
  }
}
