/** Signals that we get, passed on to a process there. */
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import type { Process, SignalName, Termination } from "../process/trait.ts";
import { hasCode } from "../protocol/error.ts";

/** What a command gets between SIGTERM and SIGKILL when we are asked to end. */
const GRACE_MS = 2_000;
/** The last output of a process that has ended is there by then. */
const LAST_OUTPUT_MS = 500;
/** How long a stop may take to arrive before we stop ourselves: the server may be out of reach. */
const STOP_LIMIT_MS = 500;

/** Calls back for signals instead of their default action. @returns stops it */
export function onSignals(actions: Readonly<Partial<Record<NodeJS.Signals, () => void>>>): () => void {
  const all = Object.entries(actions);
  for (const [name, action] of all) process.on(name, action);
  return () => {
    for (const [name, action] of all) process.off(name, action);
  };
}

/** SIGTERM, and SIGKILL for what is left of it after a grace; at once where the server knows no grace. */
async function terminateKindly(started: Process, graceMs: number): Promise<Termination> {
  try {
    return await started.terminate({ graceMs });
  } catch (error) {
    if (hasCode(error) && error.code === "UNSUPPORTED") return await started.terminate();
    throw error;
  }
}

/** Ends it with a grace, for good: what still holds its output open after that is not waited for. */
export async function endForGood(started: Process, graceMs = GRACE_MS): Promise<void> {
  await terminateKindly(started, graceMs);
  await delay(LAST_OUTPUT_MS);
  await started.terminate();
}

/** Sends a signal; nothing happens when the process is gone, or the server knows no signals. */
export function passOn(started: Process, name: SignalName | "interrupt"): void {
  started.signal(name).catch(() => {});
}

/**
 * What a command that runs here would do, the command there does: Ctrl-C interrupts it, a second one kills it; SIGTERM
 * and SIGHUP end it with a grace, a second one without; Ctrl-Z stops it and us; SIGQUIT, SIGUSR1, SIGUSR2 are passed on.
 */
export function forwardSignals(started: Process): () => void {
  let interrupted = false;
  let ending = false;
  let stopped = false;
  const kill = () => void started.terminate().catch(() => {});
  const end = () => {
    if (ending) return kill();
    ending = true;
    endForGood(started).catch(() => {});
  };
  return onSignals({
    SIGINT() {
      if (interrupted) return kill();
      interrupted = true;
      passOn(started, "interrupt");
    },
    SIGTERM: end,
    SIGHUP: end,
    SIGQUIT: () => void started.signal("SIGQUIT").catch(kill),
    SIGUSR1: () => passOn(started, "SIGUSR1"),
    SIGUSR2: () => passOn(started, "SIGUSR2"),
    SIGTSTP() {
      stopped = true;
      // Not SIGTSTP: the kernel drops it in a group without a shell (an orphaned one, setpgid(2)).
      const arrived = started.signal("SIGSTOP").catch(() => {});
      const late = new Promise((resolve) => setTimeout(resolve, STOP_LIMIT_MS));
      void Promise.race([arrived, late]).then(stopOurselves);
    },
    SIGCONT() {
      if (stopped) passOn(started, "SIGCONT");
      stopped = false;
    },
  });
}

/** As Ctrl-Z does by default. */
export function stopOurselves(): void {
  process.kill(process.pid, "SIGSTOP");
}
