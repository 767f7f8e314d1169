/** Orphans: descendants that lost their parent. The kernel gives them to us when we ask for it, else to init. */
import process from "node:process";
import { runtime } from "./detect.ts";

/** Takes in orphans, and reaps them when they have ended. */
export interface Reaper {
  /** How many orphans have been reaped so far. */
  readonly reaped: number;
}

let reaper: Reaper | undefined;

/**
 * Makes this process the parent of every descendant that loses its own (PR_SET_CHILD_SUBREAPER), and reaps those that
 * nobody waits for. Every child that somebody waits for must be in `ownedChildren` from the turn of its start until it
 * has been reaped. False where it cannot be done: under Node and Deno, and on other systems than Linux.
 */
export async function becomeSubreaper(): Promise<boolean> {
  if (reaper === undefined && runtime === "bun" && process.platform === "linux") {
    reaper = (await import("./orphans_bun.ts")).startReaper();
  }
  return reaper !== undefined;
}

/** True when every living descendant has an unbroken line of parents up to this process. */
export function isSubreaper(): boolean {
  return reaper !== undefined;
}

/** How many orphans have been reaped so far. That it grows shows descendants that are too quick to be seen. */
export function orphansReaped(): number {
  return reaper?.reaped ?? 0;
}
