/**
 * What a server does so that nothing it started outlives it: it takes in orphans, has a cgroup of its own where it
 * may, and a guard that acts when it is killed itself. Only a server does: a library must not change the program that
 * uses it.
 */
import process from "node:process";
import { enterOwnCgroup } from "../process/cgroup.ts";
import { endEverything, signalEverything } from "../process/family.ts";
import { useCgroup } from "../process/family_look.ts";
import { enableGuard, endGuard } from "../process/guard.ts";
import { readOomKills } from "../process/oom.ts";
import { becomeSubreaper } from "../runtime/orphans.ts";
import type { Log } from "./log.ts";

/** Holds everything that the server starts. */
export interface Custody {
  /** Goes on as another user, who we are about to become. */
  giveTo(owner: { readonly uid: number; readonly gid: number }): Promise<void>;
  /** Ends what is left, and the means themselves. Nothing may be started any more. */
  release(): Promise<void>;
  /** Kills what can be killed without waiting; the guard does the rest. For an exit that cannot wait. */
  abandon(): void;
}

/** Signals that a container's runtime may send to PID 1 for the programs in it. */
const FORWARDED = ["SIGQUIT", "SIGUSR1", "SIGUSR2"] as const;

/** Takes custody of everything that is started from now on. */
export async function takeCustody(log: Log): Promise<Custody> {
  const isSubreaper = await becomeSubreaper();
  readOomKills(); // finds its counter where we are now
  const cgroup = enterOwnCgroup();
  useCgroup(cgroup);
  enableGuard({ cgroup });
  // The kernel may refuse in the end, and takes its time: nothing but the first start waits for it.
  void Promise.resolve(cgroup?.entered).then((isIn) => {
    const folder = isIn ? cgroup?.path : undefined;
    log("info", "custody of processes", { subreaper: isSubreaper, cgroup: folder ?? "none" });
  });
  if (process.pid === 1) {
    // The init of a container: nobody else could tell the programs in it.
    for (const signal of FORWARDED) process.on(signal, () => void signalEverything(signal));
  }
  return {
    giveTo: (owner) => cgroup?.giveTo(owner) ?? Promise.resolve(),
    async release() {
      const survivors = await endEverything();
      if (survivors.length > 0) log("warn", "could not be killed", { pids: survivors.join(" ") });
      await endGuard();
      await cgroup?.leave();
    },
    abandon: () => void endEverything(),
  };
}
