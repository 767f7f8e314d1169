/**
 * A cgroup of our own: what is started is born in it, at no cost, and only root can leave it. So it shows every
 * descendant, and can stop or kill them all in one step. Linux with a writable cgroup2; anywhere else there is none.
 *
 * ```text
 * <where we were>/exec-server-<pid>-<random>/main       we, and what we start
 *                                            /aside      we, while `main` is held or killed
 *                                            /guard      the guard
 *                                            /limited-N  processes with limits
 * ```
 */
import { existsSync } from "node:fs";
import { basename, join } from "node:path";
import process from "node:process";
import { type LimitedLeaf, limitedLeaf, type Limits } from "./cgroup_limits.ts";
import {
  ageOf,
  findCgroup,
  foldersIn,
  giveFolder,
  isPopulated,
  processesIn,
  readText,
  removeCgroup,
  tryMakeFolder,
  tryMove,
  tryWrite,
} from "./cgroup_tree.ts";

/** A cgroup of our own. */
export interface OwnCgroup {
  /** The folder with everything in it. */
  readonly path: string;
  /** The folder we came from. */
  readonly origin: string;
  /** True once we are in it; what is started before is not. False: the kernel refused, and the folders are gone. */
  readonly entered: Promise<boolean>;
  /** True when the kernel can kill a cgroup in one step (5.14). */
  readonly canKill: boolean;
  /** Everything below but the guard; we too. */
  processes(): number[];
  /** A leaf with limits, beside ours; undefined where the controllers cannot be had. */
  limited(limits: Limits): LimitedLeaf | undefined;
  /** Lets another user do all of this: for when we become that user. What it is called by then is done. */
  giveTo(owner: { readonly uid: number; readonly gid: number }): Promise<void>;
  /** Puts the guard where nothing here kills it. */
  adoptGuard(pid: number): Promise<void>;
  /** Runs `action` while all but us and the guard stand still. Undefined, without running it, where they cannot. */
  still<T>(action: () => Promise<T>): Promise<T | undefined>;
  /** Kills all but us and the guard, for good: we do not come back. False where the kernel cannot. */
  kill(): Promise<boolean>;
  /** Moves us back and removes the folders, as far as they are empty. */
  leave(): Promise<void>;
}

const PREFIX = "exec-server-";
/** To stand still takes a process in the kernel a moment, one that waits for a dead disk for ever. */
const STILL_LIMIT_MS = 50;

/** An empty cgroup that is younger may be one that a server is just making. */
const MAKING_MS = 60_000;

/**
 * Removes what servers left that have no process any more. The pid in the name may be of another pid namespace: that
 * there is such a process here means nothing once the cgroup is old. As PID 1 of a container there always is one.
 */
function removeStale(origin: string): void {
  for (const folder of foldersIn(origin)) {
    const pid = /^exec-server-(\d+)-/.exec(basename(folder))?.[1];
    if (pid === undefined || isPopulated(folder)) continue;
    if (!existsSync(`/proc/${pid}`) || ageOf(folder) >= MAKING_MS) removeCgroup(folder);
  }
}

/** Makes a cgroup below our own one and begins to move us into it. Undefined where no folder can be made. */
export function enterOwnCgroup(): OwnCgroup | undefined {
  if (process.platform !== "linux") return undefined;
  const origin = findCgroup(readText("/proc/self/mountinfo"), readText("/proc/self/cgroup"));
  if (origin === undefined) return undefined;
  removeStale(origin);
  const path = join(origin, `${PREFIX}${process.pid}-${crypto.randomUUID().slice(0, 8)}`);
  const main = join(path, "main");
  if (!tryMakeFolder(path)) return undefined;
  if (tryMakeFolder(main)) return ownCgroup(origin, path, main);
  removeCgroup(path);
  return undefined;
}

function ownCgroup(origin: string, path: string, main: string): OwnCgroup {
  const aside = join(path, "aside");
  const guard = join(path, "guard");
  let leaves = 0;
  let queue: Promise<unknown> = Promise.resolve();
  let killed = false;

  const others = () => foldersIn(path).filter((folder) => folder !== aside && folder !== guard);
  const writeAll = (file: string, text: string) =>
    others().map((folder) => tryWrite(join(folder, file), text)).every(Boolean);
  const stepAside = async () => {
    tryMakeFolder(aside);
    return await tryMove(aside, process.pid);
  };
  const isStill = () =>
    others().every((folder) =>
      /^frozen 1$/m.test(readText(join(folder, "cgroup.events"))) || !isPopulated(folder)
    );

  const hold = async <T>(action: () => Promise<T>): Promise<T | undefined> => {
    if (killed || !existsSync(join(main, "cgroup.freeze")) || !await stepAside()) return undefined;
    try {
      if (!writeAll("cgroup.freeze", "1")) return undefined;
      const limit = performance.now() + STILL_LIMIT_MS;
      while (!isStill()) {
        if (performance.now() > limit) return undefined;
        await new Promise((resolve) => setImmediate(resolve));
      }
      return await action();
    } finally {
      writeAll("cgroup.freeze", "0");
      if (!killed) await tryMove(main, process.pid);
    }
  };

  const enter = async () => {
    const isIn = await tryMove(main, process.pid);
    if (!isIn) removeCgroup(path);
    return isIn;
  };
  const entered = enter();

  return {
    path,
    origin,
    entered,
    canKill: existsSync(join(main, "cgroup.kill")),
    processes() {
      const listed = foldersIn(path).filter((folder) => folder !== guard);
      return listed.flatMap(processesIn);
    },
    limited: (limits) => limitedLeaf({ origin, path, leaf: join(path, `limited-${++leaves}`) }, limits),
    async giveTo(owner) {
      if (!await entered) return;
      for (const folder of [path, ...foldersIn(path)]) giveFolder(folder, owner);
    },
    async adoptGuard(pid) {
      tryMakeFolder(guard);
      await tryMove(guard, pid);
    },
    still(action) {
      const held = queue.then(() => hold(action));
      queue = held.catch(() => {});
      return held;
    },
    async kill() {
      if (!existsSync(join(main, "cgroup.kill"))) return false;
      await queue; // else the one who held the others would take us back
      killed = true;
      return await stepAside() && writeAll("cgroup.kill", "1");
    },
    async leave() {
      if (!await entered) return;
      // A cgroup that hands its controllers down takes no process.
      if (!await tryMove(origin, process.pid)) {
        tryWrite(join(path, "cgroup.subtree_control"), "-pids -memory");
        tryWrite(join(origin, "cgroup.subtree_control"), "-pids -memory");
        await tryMove(origin, process.pid);
      }
      removeCgroup(path);
    },
  };
}
