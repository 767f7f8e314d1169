import { readdirSync, readFileSync } from "node:fs";

const POLL_MS = 10;
const LIMIT_MS = 20_000;

/** A line of /proc/PID/stat. */
interface Stat {
  pid: number;
  state: string;
  parent: number;
  group: number;
  /** The foreground job of its terminal; -1 without one. */
  foreground: number;
}

/** True while a process exists and is no zombie. */
export function isRunning(pid: number): boolean {
  return !["", "Z", "X"].includes(statOf(pid)?.state ?? "");
}

/** `R`, `S`, `T` … as in proc(5); undefined when there is no such process. */
export function stateOf(pid: number): string | undefined {
  return statOf(pid)?.state;
}

/** True when a descendant of a process runs these words as the foreground job of its terminal. */
export function isInFront(ancestor: number, words: string): boolean {
  const stats = new Map(everyStat().map((stat) => [stat.pid, stat]));
  const descends = ({ parent }: Stat): boolean => {
    const above = stats.get(parent);
    return parent === ancestor || (above !== undefined && descends(above));
  };
  return [...stats.values()].some((one) => isForeground(one, words) && descends(one));
}

/** How many processes run these words, each as the foreground job of its terminal. */
export function countInFront(words: string): number {
  return everyStat().filter((one) => isForeground(one, words)).length;
}

function isForeground({ pid, group, foreground }: Stat, words: string): boolean {
  return group === foreground && commandLineOf(pid).join(" ") === words;
}

/** The running members of a process group. */
export function groupMembers(groupId: number): number[] {
  return everyStat().filter((s) => s.group === groupId && isRunning(s.pid)).map((s) => s.pid);
}

/** The direct children of a process, zombies too; without the guard, which a server keeps as long as it lives. */
export function childrenOf(pid: number): number[] {
  return everyStat().filter((s) => s.parent === pid && !isGuard(s.pid)).map((s) => s.pid);
}

function isGuard(pid: number): boolean {
  return commandLineOf(pid).includes("exec-server-guard");
}

/** Nothing when it has ended. */
function commandLineOf(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").slice(0, -1);
  } catch {
    return [];
  }
}

/** How many file descriptors a process has open. */
export function openFiles(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

/** How many bytes a process has written so far, to whatever; -1 when it has ended. */
export function bytesWritten(pid: number): number {
  try {
    return Number(/^wchar: (\d+)$/m.exec(readFileSync(`/proc/${pid}/io`, "utf8"))?.[1]);
  } catch {
    return -1;
  }
}

/** Memory in MiB: what a process uses now (`VmRSS`), or the most it ever used (`VmHWM`). */
export function memoryOf(pid: number, which: "VmRSS" | "VmHWM" = "VmRSS"): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const kib = new RegExp(`^${which}:\\s+(\\d+) kB`, "m").exec(status)?.[1];
  if (kib === undefined) throw new Error(`/proc/${pid}/status has no ${which}`);
  return Number(kib) / 1024;
}

/** Waits for something in another process, which gives no event: looks again and again. */
export async function until(what: string, check: () => boolean, limitMs = LIMIT_MS): Promise<void> {
  const deadline = Date.now() + limitMs;
  while (!check()) {
    if (Date.now() > deadline) throw new Error(`still not so after ${limitMs} ms: ${what}`);
    await pause();
  }
}

/** Waits until a value has not changed for half a second: whoever changes it is held back. */
export async function untilStill(value: () => number | string): Promise<void> {
  let last = value();
  for (let same = 0; same < 500 / POLL_MS; same++) {
    await pause();
    const now = value();
    if (now !== last) same = 0;
    last = now;
  }
}

function pause(): Promise<void> {
  return new Promise((ok) => setTimeout(ok, POLL_MS));
}

function everyStat(): Stat[] {
  return readdirSync("/proc").filter((name) => /^\d+$/.test(name)).flatMap((name) =>
    statOf(Number(name)) ?? []
  );
}

function statOf(pid: number): Stat | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  } catch {
    return undefined; // it has ended
  }
  const [state = "", parent, group, , , foreground] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return { pid, state, parent: Number(parent), group: Number(group), foreground: Number(foreground) };
}
