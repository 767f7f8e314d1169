/** How a process ended, as the wire tells it: what is not so is left out. */
import type { ExitStatus } from "./trait.ts";

/** The members of the wire that tell of an end. */
export interface WireExit {
  readonly exitCode: number;
  readonly signal?: ExitStatus["signal"] | null;
  readonly timedOut?: boolean;
  readonly terminated?: boolean;
  readonly oomKilled?: boolean;
  readonly sandboxDenied?: boolean;
}

/** The members beside the exit code; none for an ordinary exit. */
export function exitToWire(exit: ExitStatus | undefined): Omit<WireExit, "exitCode"> {
  return {
    ...(exit?.signal && { signal: exit.signal }),
    ...(exit?.timedOut && { timedOut: true }),
    ...(exit?.terminated && { terminated: true }),
    ...(exit?.oomKilled && { oomKilled: true }),
    ...(exit?.sandboxDenied && { sandboxDenied: true }),
  };
}

/** Reads them. */
export function exitFromWire(
  { exitCode, signal, timedOut, terminated, oomKilled, sandboxDenied }: WireExit,
): ExitStatus {
  return {
    exitCode,
    signal: signal ?? undefined,
    timedOut: timedOut ?? false,
    terminated: terminated ?? false,
    oomKilled: oomKilled ?? false,
    ...(sandboxDenied === true && { sandboxDenied: true }),
  };
}
