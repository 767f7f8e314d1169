/** Signals to single processes and to groups, with their refusals told apart. */
import process from "node:process";
import { hasCode } from "../protocol/error.ts";
import { isLiving, type ProcStat, readStat } from "./proc_stat.ts";

/** Sends a signal; a negative id means a group. `refused`: it runs as another user. */
export function send(id: number, signal: NodeJS.Signals | 0): "sent" | "gone" | "refused" {
  try {
    process.kill(id, signal);
    return "sent";
  } catch (error) {
    if (hasCode(error) && error.code === "ESRCH") return "gone";
    if (hasCode(error) && error.code === "EPERM") return "refused";
    throw error;
  }
}

/** True while exactly this process exists, be it as a zombie. */
export function exists(one: ProcStat): boolean {
  return readStat(one.pid)?.startTime === one.startTime;
}

/** True while exactly this process lives. */
export function isRunning(one: ProcStat): boolean {
  const now = readStat(one.pid);
  return now !== undefined && now.startTime === one.startTime && isLiving(now);
}

/** Signals exactly this process, not a later one with its pid. */
export function sendTo(one: ProcStat, signal: NodeJS.Signals): "sent" | "gone" | "refused" {
  return isRunning(one) ? send(one.pid, signal) : "gone";
}
