/** What /proc tells of processes (proc_pid_stat(5)). Linux only: elsewhere nothing is ever found. */
import { Buffer } from "node:buffer";
import { closeSync, openSync, readdirSync, readFileSync, readSync } from "node:fs";

/** One process at one moment. */
export interface ProcStat {
  readonly pid: number;
  readonly state: string;
  readonly parent: number;
  readonly group: number;
  readonly session: number;
  /** The foreground job of its terminal; -1 without one. */
  readonly foreground: number;
  /** Its own CPU time and that of the children it has waited for, in clock ticks. */
  readonly cpuTicks: number;
  readonly threads: number;
  /** Clock ticks since boot. With the pid it names a process for good: pids are used again. */
  readonly startTime: number;
  readonly residentPages: number;
}

/** All processes, as good as at one moment. */
export interface ProcTable {
  readonly processes: Map<number, ProcStat>;
  /** Those that had ended before they could be read. */
  readonly vanished: number;
}

/** The longest stat line is far shorter; of a longer one the fields that matter are at the front. */
const STAT_BYTES = 2_048;
/** So long a scan keeps the event loop at most, in ms. */
const SLICE_MS = 3;
const scratch = Buffer.alloc(STAT_BYTES);

/** Parses a line of /proc/PID/stat. A program's name may hold spaces and brackets: the last bracket counts. */
export function parseStat(pid: number, line: string): ProcStat | undefined {
  const fields = line.slice(line.lastIndexOf(")") + 2).split(" ");
  const [state, parent, group, session] = fields;
  if (state === undefined || session === undefined || fields.length < 22) return undefined;
  const number = (index: number) => Number(fields[index]);
  return {
    pid,
    state,
    parent: Number(parent),
    group: Number(group),
    session: Number(session),
    foreground: number(5),
    cpuTicks: number(11) + number(12) + number(13) + number(14),
    threads: number(17),
    startTime: number(19),
    residentPages: number(21),
  };
}

/** The process with this pid, or undefined when there is none (any more). A zombie is one. */
export function readStat(pid: number): ProcStat | undefined {
  let file: number | undefined;
  try {
    file = openSync(`/proc/${pid}/stat`, "r"); // with a buffer of our own this is three times as fast as readFileSync
    const length = readSync(file, scratch, 0, STAT_BYTES, 0);
    return parseStat(pid, scratch.toString("latin1", 0, length));
  } catch {
    return undefined;
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

/** False for what has ended and only waits to be reaped. A main thread may end before the others: that one lives. */
export function isLiving(one: ProcStat): boolean {
  return one.state !== "X" && (one.state !== "Z" || one.threads > 1);
}

/** True while exactly this process lives. */
export function isRunning({ pid, startTime }: Pick<ProcStat, "pid" | "startTime">): boolean {
  const now = readStat(pid);
  return now !== undefined && now.startTime === startTime && isLiving(now);
}

/** Every pid there is; none where there is no /proc. */
export function listPids(): number[] {
  try {
    return readdirSync("/proc").map(Number).filter((pid) => pid > 0);
  } catch {
    return [];
  }
}

/** Reads these processes, all in one go. */
export function readTable(pids: readonly number[]): ProcTable {
  const processes = new Map<number, ProcStat>();
  for (const pid of pids) add(processes, pid);
  return completed(processes, pids.length);
}

/** Reads these processes, in slices. */
export async function readTableInSlices(pids: readonly number[]): Promise<ProcTable> {
  const processes = new Map<number, ProcStat>();
  let sliceEnd = performance.now() + SLICE_MS;
  for (const pid of pids) {
    add(processes, pid);
    if (performance.now() < sliceEnd) continue;
    await new Promise((resolve) => setImmediate(resolve));
    sliceEnd = performance.now() + SLICE_MS;
  }
  return completed(processes, pids.length);
}

function add(processes: Map<number, ProcStat>, pid: number): void {
  const one = readStat(pid);
  if (one) processes.set(pid, one);
}

/** Whose parent has ended while we read has another one by now, and its line of parents would seem broken. */
function completed(processes: Map<number, ProcStat>, asked: number): ProcTable {
  const vanished = asked - processes.size;
  for (const one of [...processes.values()]) {
    if (one.parent === 0 || processes.has(one.parent)) continue;
    processes.delete(one.pid);
    add(processes, one.pid);
  }
  return { processes, vanished };
}

/** The environment it was started with, as bytes in Latin-1; empty when it may not be read. */
export function readEnviron(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/environ`, "latin1");
  } catch {
    return "";
  }
}

/** Of the kernel's interface, on every architecture that Bun, Node and Deno have. */
export const TICKS_PER_SECOND = 100;

const AT_PAGESZ = 6n;
let page: number | undefined;

/** Bytes of a page of memory. */
export function pageBytes(): number {
  page ??= readPageBytes();
  return page;
}

function readPageBytes(): number {
  try {
    const words = readFileSync("/proc/self/auxv");
    for (let at = 0; at + 16 <= words.length; at += 16) {
      if (words.readBigUInt64LE(at) === AT_PAGESZ) return Number(words.readBigUInt64LE(at + 8));
    }
  } catch {
    // no /proc: nobody asks
  }
  return 4_096;
}
