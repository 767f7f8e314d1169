/** Files and folders of a cgroup2 hierarchy (cgroup-v2.rst). */
import { chownSync, mkdirSync, readdirSync, readFileSync, rmdirSync, statSync, writeFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";

/** The folder of the own cgroup, from /proc/self/mountinfo and /proc/self/cgroup; undefined without cgroup2. */
export function findCgroup(mountinfo: string, membership: string): string | undefined {
  const own = /^0::(\/.*)$/m.exec(membership)?.[1];
  if (own === undefined || own.startsWith("/..")) return undefined; // outside of what is mounted here
  for (const line of mountinfo.split("\n")) {
    const [before = "", after] = line.split(" - ");
    if (after?.split(" ")[0] !== "cgroup2") continue;
    const [root, mountPoint] = before.split(" ").slice(3, 5).map(unescapeMount);
    if (root === undefined || mountPoint === undefined) continue;
    if (root === "/") return join(mountPoint, own === "/" ? "" : own);
    if (own === root || own.startsWith(`${root}/`)) return join(mountPoint, own.slice(root.length));
  }
  return undefined;
}

/** Spaces and the like are octal there. */
function unescapeMount(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8)));
}

/** The text of a file; empty when it cannot be read. */
export function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

/** Writes to a file of the kernel. False when it refuses. */
export function tryWrite(path: string, text: string): boolean {
  try {
    writeFileSync(path, text, { flag: "r+" }); // never creates one: on another file system that would seem to work
    return true;
  } catch {
    return false;
  }
}

/**
 * Moves a process into a cgroup. False when the kernel refuses. Takes 10 ms and more when none has been moved just
 * before (it waits until all CPUs have taken note), so it is done on a thread of the runtime.
 */
export async function tryMove(folder: string, pid: number): Promise<boolean> {
  try {
    await writeFile(join(folder, "cgroup.procs"), `${pid}\n`, { flag: "r+" });
    return true;
  } catch {
    return false;
  }
}

/** Makes a folder. False when that may not be. */
export function tryMakeFolder(path: string): boolean {
  try {
    mkdirSync(path);
    return true;
  } catch {
    return false;
  }
}

/** Delegates a cgroup to another user: what the kernel lets its owner do is this user's (cgroup-v2.rst). */
export function giveFolder(path: string, { uid, gid }: { readonly uid: number; readonly gid: number }): void {
  const own = readdirSync(path).filter((name) => name.startsWith("cgroup.")).map((name) => join(path, name));
  for (const one of [path, ...own]) chownSync(one, uid, gid);
}

/** The folders directly below. */
export function foldersIn(path: string): string[] {
  try {
    return readdirSync(path, { withFileTypes: true }).filter((one) => one.isDirectory()).map((one) =>
      join(path, one.name)
    );
  } catch {
    return [];
  }
}

/** The processes of a cgroup and of all below it. Those of other pid namespaces (0) are left out. */
export function processesIn(path: string): number[] {
  const here = readText(join(path, "cgroup.procs")).split("\n").map(Number).filter((pid) => pid > 0);
  return [...here, ...foldersIn(path).flatMap(processesIn)];
}

/** True while a living process is in it or below. */
export function isPopulated(path: string): boolean {
  return /^populated 1$/m.test(readText(join(path, "cgroup.events")));
}

/** How long ago a cgroup was made or has got its last child, in ms; 0 when nobody knows. */
export function ageOf(path: string): number {
  const changed = statSync(path, { throwIfNoEntry: false })?.mtimeMs;
  return changed === undefined ? 0 : Date.now() - changed;
}

/** Removes a cgroup and all below it, as far as they are empty. */
export function removeCgroup(path: string): void {
  for (const folder of foldersIn(path)) removeCgroup(folder);
  try {
    rmdirSync(path);
  } catch {
    // not empty, or gone already
  }
}
