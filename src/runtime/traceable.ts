/** Keeps other programs of the same user out of this one's memory. */
import process from "node:process";
import { runtime } from "./detect.ts";

/**
 * False: from now on no program without CAP_SYS_PTRACE can trace this one, or read its memory and its environment in
 * /proc, and it dumps no core, also not to a program (PR_SET_DUMPABLE; RLIMIT_CORE does not bind those, core(5)).
 * Programs that it starts have their own setting and limit, as before. True: all of that may be, also after a change
 * of the user, which forbids it. Does nothing under Node and Deno, and on other systems than Linux.
 */
export async function setTraceable(traceable: boolean): Promise<void> {
  if (runtime !== "bun" || process.platform !== "linux") return;
  (await import("./traceable_bun.ts")).setDumpable(traceable);
}
