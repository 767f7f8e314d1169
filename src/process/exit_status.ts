import { constants } from "node:os";
import { SIGNALS } from "../protocol/process.ts";
import type { ChildExit } from "../runtime/child.ts";
import type { ExitStatus, SignalName } from "./trait.ts";

const NAMES: ReadonlyMap<number, SignalName> = new Map(
  SIGNALS.map((name) => [constants.signals[name], name]),
);

/** What the server knows of an end beside what the kernel says. */
export type Ending = Pick<ExitStatus, "timedOut" | "terminated" | "oomKilled">;

/**
 * bwrap exits with 128 + the signal's number when a signal ended the program; a program may exit with such a code by
 * itself. So a signal is told only when it was sent.
 */
export function signalledInside(exit: ChildExit, sent: ReadonlySet<SignalName>): ChildExit {
  const signal = (exit.code ?? 0) - 128;
  const name = NAMES.get(signal);
  return name !== undefined && sent.has(name) ? { code: null, signal } : exit;
}

/** 128 + signal number, as shells report it (bash(1), EXIT STATUS). */
export function exitStatus({ code, signal }: ChildExit, ending: Ending): ExitStatus {
  return {
    exitCode: signal === null ? code ?? 1 : 128 + signal,
    signal: signal === null ? undefined : NAMES.get(signal),
    ...ending,
  };
}
