import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import process from "node:process";

const POLL_MS = 200;
const GRACE_MS = 2_000;
/** What the runners of the tests themselves put into TMPDIR. */
const OWN_LEFTOVERS = /^(tsx-|node-compile-cache|node-jiti)/;

interface Process {
  pid: number;
  parent: number;
  /** Tells a process from a later one with the same pid. */
  started: string;
}

/** Remembers every descendant of one process, also those that lose their parent later. */
export interface FamilyWatch {
  /** Stops looking. */
  stop(): void;
  /** The remembered processes that still run. */
  survivors(): number[];
}

/** Starts to look, several times a second, for descendants of `root`. */
export function watchFamily(root: number): FamilyWatch {
  const family = new Map<number, string>();
  const look = () => {
    const all = processes();
    for (let grew = true; grew;) {
      grew = false;
      for (const { pid, parent, started } of all) {
        if (family.has(pid) || (parent !== root && !family.has(parent))) continue;
        family.set(pid, started);
        grew = true;
      }
    }
  };
  look();
  const timer = setInterval(look, POLL_MS);
  return {
    stop: () => clearInterval(timer),
    survivors: () => processes().filter((p) => family.get(p.pid) === p.started).map((p) => p.pid),
  };
}

/** What a test file must not leave behind is recognised by these. */
export interface Traces {
  /** The value of EXEC_SERVER_TEST_MARK. */
  mark: string;
  /** The private TMPDIR. */
  temp: string;
  family: FamilyWatch;
}

/**
 * Looks for processes and files that a test file has left behind, after a short grace for those that are about to end.
 * Kills the processes. The answer is one line for each finding.
 */
export async function findLeaks(traces: Traces): Promise<string[]> {
  traces.family.stop();
  const until = Date.now() + GRACE_MS;
  let left = leftProcesses(traces);
  while (left.length > 0 && Date.now() < until) {
    await new Promise((ok) => setTimeout(ok, 50)); // the end of a process that is not ours gives no event
    left = leftProcesses(traces);
  }
  const findings = left.map((pid) => `left process ${pid}: ${commandLine(pid)}`);
  for (const pid of left) kill(pid);
  for (const name of readdirSync(traces.temp)) {
    if (!OWN_LEFTOVERS.test(name)) findings.push(`left in TMPDIR: ${name}`);
  }
  return findings;
}

function leftProcesses({ mark, temp, family }: Traces): number[] {
  const known = new Set(family.survivors());
  const isTraced = (pid: number) => {
    const environment = readProc(pid, "environ");
    return environment.includes(mark) || environment.includes(temp) ||
      readProc(pid, "cmdline").includes(temp) ||
      workingFolder(pid).startsWith(temp);
  };
  return processes().map((p) => p.pid).filter((pid) =>
    pid !== process.pid && (known.has(pid) || isTraced(pid))
  );
}

/** Every process that is not a zombie. */
function processes(): Process[] {
  const found: Process[] = [];
  for (const name of readdirSync("/proc")) {
    const pid = Number(name);
    if (!Number.isInteger(pid)) continue;
    const stat = readProc(pid, "stat");
    const [state, parent, ...rest] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const started = rest[17];
    if (state !== "Z" && state !== "X" && started !== undefined) {
      found.push({ pid, parent: Number(parent), started });
    }
  }
  return found;
}

function commandLine(pid: number): string {
  return readProc(pid, "cmdline").replaceAll("\0", " ").trim().slice(0, 300) || "(no command line)";
}

function readProc(pid: number, name: string): string {
  try {
    return readFileSync(`/proc/${pid}/${name}`, "latin1");
  } catch {
    return ""; // it has ended, or is not ours
  }
}

function workingFolder(pid: number): string {
  try {
    return readlinkSync(`/proc/${pid}/cwd`);
  } catch {
    return "";
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // it has just ended
  }
}
