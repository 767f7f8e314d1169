/** Signals to exactly one process: pids get used again. */
import { isRunning, type ProcStat, readStat } from "../runtime/proc_stat.ts";
import { send } from "../runtime/signal.ts";

/** True while exactly this process exists, be it as a zombie. */
export function exists(one: ProcStat): boolean {
  return readStat(one.pid)?.startTime === one.startTime;
}

/** Signals exactly this process, not a later one with its pid. */
export function sendTo(one: ProcStat, signal: NodeJS.Signals): "sent" | "gone" | "refused" {
  return isRunning(one) ? send(one.pid, signal) : "gone";
}
