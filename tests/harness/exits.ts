import type { ExitStatus } from "../../src/process/trait.ts";

/** An end of its own. */
export function exited(exitCode: number): ExitStatus {
  return { exitCode, signal: undefined, timedOut: false, terminated: false, oomKilled: false };
}

/** What SIGKILL on request leaves. */
export const TERMINATED: ExitStatus = { ...exited(137), signal: "SIGKILL", terminated: true };
