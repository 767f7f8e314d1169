import { constants } from "node:os";
import process from "node:process";
import { errorCode } from "./coded_error.ts";

/** Signals that Bun's `process.kill` knows by their numbers only. */
const NUMBERED: ReadonlySet<NodeJS.Signals> = new Set(["SIGPOLL", "SIGPWR", "SIGSTKFLT"]);

/** Sends a signal; a negative id means a group. `refused`: it runs as another user. */
export function send(id: number, signal: NodeJS.Signals | 0): "sent" | "gone" | "refused" {
  try {
    process.kill(id, signal !== 0 && NUMBERED.has(signal) ? constants.signals[signal] : signal);
    return "sent";
  } catch (error) {
    if (errorCode(error) === "ESRCH") return "gone";
    if (errorCode(error) === "EPERM") return "refused";
    throw error;
  }
}
