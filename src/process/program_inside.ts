/** The program in a sandbox, as it is known outside. */
import { listPids, readStat } from "../runtime/proc_stat.ts";

/** Where it is. */
export interface ProgramInside {
  /** The sandbox stands, and this is its init. */
  found(init: number): void;
  /** Its process group; undefined before it is found and once it is gone. */
  readonly group: () => number | undefined;
}

/** It is forked last before the sandbox stands, so its pid comes shortly after that of its parent. */
const NEAR_PIDS = 16;

/** One that has not been found. */
export function programIn(): ProgramInside {
  let program: { readonly pid: number; readonly startTime: number } | undefined;
  return {
    found(init) {
      program = childOf(init);
    },
    group() {
      const stat = program && readStat(program.pid);
      return stat && stat.startTime === program?.startTime ? stat.group : undefined;
    },
  };
}

/** The one child; `/proc/PID/task/TID/children` is not on every kernel. */
function childOf(parent: number): { pid: number; startTime: number } | undefined {
  const isChild = (pid: number) => {
    const stat = readStat(pid);
    return stat?.parent === parent ? stat : undefined;
  };
  for (let pid = parent + 1; pid <= parent + NEAR_PIDS; pid++) {
    const found = isChild(pid);
    if (found) return found;
  }
  for (const pid of listPids()) {
    const found = isChild(pid);
    if (found) return found;
  }
  return undefined;
}
