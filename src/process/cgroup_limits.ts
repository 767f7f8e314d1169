/** Limits for one process and all that comes of it, by a cgroup of its own. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { readText, removeCgroup, tryMakeFolder, tryWrite } from "./cgroup_tree.ts";

/** What a process and its descendants may use together. */
export interface Limits {
  readonly processes?: number;
  readonly memoryBytes?: number;
}

/** A cgroup with limits. */
export interface LimitedLeaf {
  /** Whoever writes its pid (or 0: itself) here is limited from then on. */
  readonly procsFile: string;
  /** How many processes the kernel has killed for want of memory. */
  oomKills(): number;
  /** Removes it. Nothing happens while something is in it: call it when nothing is. */
  remove(): void;
}

/** Folders: where the server came from, its own one, and the one to make. */
export interface LeafFolders {
  readonly origin: string;
  readonly path: string;
  readonly leaf: string;
}

/** Makes a leaf with limits. Undefined, with no folder left, where a controller that is needed cannot be had. */
export function limitedLeaf(folders: LeafFolders, limits: Limits): LimitedLeaf | undefined {
  const { origin, path, leaf } = folders;
  const wanted: { controller: string; file: string; value: number }[] = [];
  if (limits.processes !== undefined) {
    wanted.push({ controller: "pids", file: "pids.max", value: limits.processes });
  }
  if (limits.memoryBytes !== undefined) {
    wanted.push({ controller: "memory", file: "memory.max", value: limits.memoryBytes });
  }
  for (const { controller } of wanted) {
    if (!handDown(origin, controller) || !handDown(path, controller)) return undefined;
  }
  if (!tryMakeFolder(leaf)) return undefined;
  if (!wanted.every(({ file, value }) => tryWrite(join(leaf, file), `${value}`))) {
    removeCgroup(leaf);
    return undefined;
  }
  // Else what is over the limit would only move to the swap space.
  if (limits.memoryBytes !== undefined && existsSync(join(leaf, "memory.swap.max"))) {
    tryWrite(join(leaf, "memory.swap.max"), "0");
  }
  return {
    procsFile: join(leaf, "cgroup.procs"),
    oomKills: () => Number(/^oom_kill (\d+)$/m.exec(readText(join(leaf, "memory.events")))?.[1] ?? 0),
    remove: () => removeCgroup(leaf),
  };
}

/** A controller works in a cgroup only when the one above hands it down. */
function handDown(folder: string, controller: string): boolean {
  const file = join(folder, "cgroup.subtree_control");
  if (readText(file).trim().split(" ").includes(controller)) return true;
  if (!readText(join(folder, "cgroup.controllers")).trim().split(" ").includes(controller)) return false;
  return tryWrite(file, `+${controller}`);
}
