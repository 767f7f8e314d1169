/** The ends of children that Bun does not know of, because libc started them. */
import process from "node:process";
import { ptr } from "./bun.ts";
import type { ChildExit } from "./child.ts";
import { ownedChildren } from "./owned_children.ts";
import { ptyLibc } from "./pty_libc_bun.ts";

const WNOHANG = 1;
/** SIGCHLD tells of every end. This is for one that got lost. */
const SAFETY_MS = 1_000;
/** Somebody else has reaped the child: how it ended cannot be known. */
const UNKNOWN: ChildExit = { code: null, signal: null };

const waiting = new Map<number, (exit: ChildExit) => void>();
let safety: ReturnType<typeof setInterval> | undefined;

/**
 * Starts a child with `start` and waits for its end. Both in one step: the handler is there before the child is, and
 * nothing can look for foreign zombies between the start and the registration.
 */
export function startAndReap(start: () => number): { pid: number; exited: Promise<ChildExit> } {
  if (safety === undefined) {
    process.on("SIGCHLD", reap);
    safety = setInterval(reap, SAFETY_MS);
    safety.unref();
  }
  try {
    const pid = start();
    ownedChildren.add(pid);
    return { pid, exited: new Promise((resolve) => waiting.set(pid, resolve)) };
  } finally {
    stopWhenIdle();
  }
}

/** Asks for each child of ours, never for any child (-1): that would take the runtime's own from it. */
function reap(): void {
  const status = new Int32Array(1);
  for (const [pid, resolve] of waiting) {
    const reaped = ptyLibc().waitpid(pid, ptr(status), WNOHANG);
    if (reaped === 0) continue;
    waiting.delete(pid);
    ownedChildren.delete(pid);
    resolve(reaped === pid ? decode(status[0] ?? 0) : UNKNOWN);
  }
  stopWhenIdle();
}

function stopWhenIdle(): void {
  if (waiting.size > 0 || safety === undefined) return;
  clearInterval(safety);
  safety = undefined;
  process.off("SIGCHLD", reap);
}

function decode(status: number): ChildExit {
  const signal = status & 0x7f;
  return signal === 0 ? { code: (status >> 8) & 0xff, signal: null } : { code: null, signal };
}
