import { readStat } from "../runtime/proc_stat.ts";
import { send } from "../runtime/signal.ts";
import type { SignalName } from "./trait.ts";

/**
 * Sends a signal to every process of a group. A group that is gone is fine; so is one whose members have all become
 * other users: there is nothing we may do about it.
 */
export function signalGroup(groupId: number, signal: SignalName): void {
  send(-groupId, signal);
}

/** The foreground job of a session's terminal (tpgid of proc_pid_stat(5)); undefined where that cannot be known. */
export function foregroundGroup(leader: number): number | undefined {
  const group = readStat(leader)?.foreground ?? 0;
  return group > 1 ? group : undefined;
}
