import process from "node:process";
import { hasCode } from "../protocol/error.ts";

/**
 * Sends a signal to every process of a group. A group that is gone is fine (ESRCH); so is one whose members have
 * all become other users (EPERM): there is nothing we may do about it.
 */
export function signalGroup(groupId: number, signal: "SIGINT" | "SIGKILL" | "SIGTERM"): void {
  try {
    process.kill(-groupId, signal);
  } catch (error) {
    if (!hasCode(error) || (error.code !== "ESRCH" && error.code !== "EPERM")) throw error;
  }
}
