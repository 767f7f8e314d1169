/** The reaper of orphans under Bun, which has no API for prctl(2) and waitid(2). 64-bit Linux. */
import process from "node:process";
import { libcSymbols, ptr } from "./bun.ts";
import type { Reaper } from "./orphans.ts";
import { ownedChildren } from "./owned_children.ts";

const PR_SET_CHILD_SUBREAPER = 36;
const P_ALL = 0;
const WNOHANG = 1;
const WEXITED = 4;
const WNOWAIT = 0x01000000;
/** sizeof(siginfo_t) in 32-bit words, and the place of si_pid in it. */
const SIGINFO_WORDS = 32;
const SI_PID = 4;
/** When an owned child is not yet reaped by its owner: the next look. Orphans behind it wait as long. */
const LOOK_AGAIN_MS = 20;

const libc = libcSymbols({
  prctl: { args: ["i32", "u64", "u64", "u64", "u64"], returns: "i32" },
  waitid: { args: ["i32", "u32", "ptr", "i32"], returns: "i32" },
  waitpid: { args: ["i32", "ptr", "i32"], returns: "i32" },
});

/** Becomes the subreaper; undefined when the kernel refuses. */
export function startReaper(): Reaper | undefined {
  if (libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) !== 0) return undefined;
  const info = new Int32Array(SIGINFO_WORDS);
  const status = new Int32Array(1);
  let timer: ReturnType<typeof setTimeout> | undefined;
  let reaped = 0;
  // Never waitpid(-1): that would take the exit status from the runtime, which waits for its children by pid.
  const look = () => {
    for (;;) {
      info.fill(0);
      if (libc.waitid(P_ALL, 0, ptr(info), WEXITED | WNOHANG | WNOWAIT) !== 0) return; // no child at all
      const pid = info[SI_PID] ?? 0;
      if (pid === 0) return;
      // Only what has an owner is left to it. That it is in our session says nothing: a shell may have started it
      // before it became us (`job & exec exec-server serve`), and it would end all reaping.
      if (ownedChildren.has(pid)) {
        timer ??= setTimeout(() => {
          timer = undefined;
          look();
        }, LOOK_AGAIN_MS);
        timer.unref();
        return;
      }
      if (libc.waitpid(pid, ptr(status), WNOHANG) !== pid) return;
      reaped++;
    }
  };
  process.on("SIGCHLD", look);
  look();
  return {
    get reaped() {
      return reaped;
    },
  };
}
