import { constants } from "node:os";
import { SIGNALS } from "../protocol/process.ts";
import type { ChildExit } from "../runtime/child.ts";
import type { ExitStatus, SignalName } from "./trait.ts";

const NAMES: ReadonlyMap<number, SignalName> = new Map(
  SIGNALS.map((name) => [constants.signals[name], name]),
);

/** What the server knows of an end beside what the kernel says. */
export type Ending = Pick<ExitStatus, "timedOut" | "terminated" | "oomKilled">;

/** 128 + signal number, as shells report it (bash(1), EXIT STATUS). */
export function exitStatus({ code, signal }: ChildExit, ending: Ending): ExitStatus {
  return {
    exitCode: signal === null ? code ?? 1 : 128 + signal,
    signal: signal === null ? undefined : NAMES.get(signal),
    ...ending,
  };
}
