import { readFileSync } from "node:fs";
import process from "node:process";
import { hasCode } from "../protocol/error.ts";
import type { SignalName } from "./trait.ts";

/**
 * Sends a signal to every process of a group. A group that is gone is fine (ESRCH); so is one whose members have
 * all become other users (EPERM): there is nothing we may do about it.
 */
export function signalGroup(groupId: number, signal: SignalName): void {
  try {
    process.kill(-groupId, signal);
  } catch (error) {
    if (!hasCode(error) || (error.code !== "ESRCH" && error.code !== "EPERM")) throw error;
  }
}

/** The foreground job of a session's terminal (tpgid of proc_pid_stat(5)); undefined where that cannot be known. */
export function foregroundGroup(leader: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${leader}/stat`, "latin1");
    const group = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[5]);
    return group > 1 ? group : undefined;
  } catch {
    return undefined; // it has ended, or there is no /proc
  }
}
