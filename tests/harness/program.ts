/** The program under test, and the certainty that nothing of it outlives the test process. */
import process from "node:process";
import { fileURLToPath } from "node:url";
import { atExit } from "./at_exit.ts";
import { isRunning } from "./proc.ts";

const KILL_LIMIT_MS = 5_000;
const DEFAULT_BIN = fileURLToPath(new URL("../../dist/exec-server", import.meta.url));

/** EXEC_SERVER_BIN, else the compiled executable: the program and the arguments that come before its own. */
export function programUnderTest(): [program: string, before: string[]] {
  const [program = DEFAULT_BIN, ...before] = (process.env["EXEC_SERVER_BIN"] ?? DEFAULT_BIN).split(" ")
    .filter(Boolean);
  return [program, before];
}

const running = new Set<number>();

/** Kills the process and its group when the test process ends before it. */
export function register(pid: number, child: { once(event: "exit", listener: () => void): unknown }): void {
  if (running.size === 0) atExit(killAll);
  running.add(pid);
  child.once("exit", () => running.delete(pid));
}

/** The last resort, in the exit handler: nothing asynchronous runs any more, so look at /proc until they are dead. */
function killAll(): void {
  const until = Date.now() + KILL_LIMIT_MS;
  for (const pid of running) send(-pid, "SIGKILL");
  for (const pid of running) {
    while (isRunning(pid) && Date.now() < until) {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    }
  }
  running.clear();
}

/** Sends a signal to a process, or to a group (a negative number); one that is gone is fine. */
export function send(pid: number, signal: NodeJS.Signals): void {
  if (pid === 0) return; // it was never started; to the kernel 0 is the group of the test itself
  try {
    process.kill(pid, signal);
  } catch {
    // already gone
  }
}
