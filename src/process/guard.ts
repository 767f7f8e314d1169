/**
 * The guard: a small shell in a session of its own that outlives the server by a moment. When the server is killed
 * (SIGKILL, out of memory), the guard's pipe ends and it kills what the server had started.
 */
import process from "node:process";
import { type Background, spawnBackground } from "../runtime/background.ts";
import type { OwnCgroup } from "./cgroup.ts";
import { outsiders } from "./family_look.ts";
import { serverToken } from "./family_mark.ts";
import { send } from "../runtime/signal.ts";
import { GUARD_SCRIPT } from "./guard_script.ts";

/** What the guard is to know. */
export interface GuardOptions {
  /** Killed as a whole, and its folders removed. */
  readonly cgroup?: OwnCgroup | undefined;
}

/** A leader, as the guard knows it. */
interface Leader {
  readonly leader: number;
  readonly startTime: number;
}

/** A guard that has died is started again, but not for ever: whatever kills it will do so again. */
const MAX_STARTS = 10;
/** It ends within a few ms when it is told to. */
const QUIT_LIMIT_MS = 1_000;
/** Where grep is, on NixOS too. Nothing else of our environment: it may hold secrets. */
const ENVIRONMENT = { PATH: "/usr/bin:/bin:/run/current-system/sw/bin" };

const leaders = new Set<Leader>();
let enabled = false;
let cgroup: OwnCgroup | undefined;
let starting: Promise<void> | undefined;
let starts = 0;
let guard: Background | undefined;

/** From now on there is a guard before there is something to guard. Linux only; elsewhere this does nothing. */
export function enableGuard(options: GuardOptions = {}): void {
  enabled = process.platform === "linux";
  cgroup = options.cgroup;
}

/** To be awaited before a process is started: until there is a guard, where there can be one. */
export function guarded(): Promise<void> | undefined {
  if (!enabled || guard || starting === undefined && starts >= MAX_STARTS) return undefined;
  return starting ??= start().finally(() => starting = undefined);
}

/** A leader comes (`+`) or goes (`-`). */
export function tellGuard(what: "+" | "-", leader: Leader): void {
  if (!enabled) return;
  if (what === "+") leaders.add(leader);
  else leaders.delete(leader);
  if (guard) say(guard, what, leader);
}

/** Ends the guard; it kills nothing. Call it when everything has been ended. */
export async function endGuard(): Promise<void> {
  enabled = false;
  leaders.clear();
  const ending = guard;
  if (!ending) return;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<void>((resolve) => timer = setTimeout(resolve, QUIT_LIMIT_MS));
  ending.end("quit\n");
  await Promise.race([ending.exited, late]);
  clearTimeout(timer);
}

async function start(): Promise<void> {
  starts++;
  if (cgroup && !await cgroup.entered) cgroup = undefined;
  const folders = cgroup ? [cgroup.path, cgroup.origin] : ["", ""];
  const args = ["-c", GUARD_SCRIPT, "exec-server-guard", serverToken, ...folders];
  try {
    const born = await spawnBackground({ file: "/bin/sh", args, env: ENVIRONMENT });
    outsiders.add(born.pid);
    void born.exited.then(() => {
      outsiders.delete(born.pid);
      guard = undefined;
      if (leaders.size > 0) void guarded();
    });
    if (!enabled) return born.end("quit\n");
    guard = born;
    for (const leader of leaders) say(born, "+", leader);
    void cgroup?.adoptGuard(born.pid); // takes the kernel some ms, and the guard stands already
  } catch {
    // no shell, no guard
  }
}

/** A cgroup that can be killed as a whole needs no list, so that a start costs nothing. */
function say(to: Background, what: "+" | "-", { leader, startTime }: Leader): void {
  if (cgroup?.canKill) return;
  if (!to.say(`${what}${leader}:${startTime}\n`)) send(to.pid, "SIGKILL"); // it hangs: the next one gets the whole list
}
