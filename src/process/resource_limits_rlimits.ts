/** From limits to the commands of a shell that set them (setrlimit(2); ulimit in POSIX, and what all shells add). */
import { readFileSync } from "node:fs";
import process from "node:process";
import { invalidParams, unsupported } from "../protocol/error.ts";
import { clip } from "../protocol/quote.ts";
import type { ResourceLimits } from "./trait.ts";

/** Who sets them. */
interface Setting {
  /** A cgroup counts the processes. */
  readonly inCgroup: boolean;
  /** Undefined where there are no users. */
  readonly uid: number | undefined;
}

interface Rlimit {
  readonly name: keyof ResourceLimits;
  /** As /proc/PID/limits calls it (proc_pid_limits(5)). */
  readonly row: string;
  /** Below that not even env(1) can run, or nothing could. */
  readonly least: number;
  /** What one of ulimit's units is. Rounded down: the limit is never looser than what was asked for. */
  readonly unit: number;
  readonly commands: (soft: number, hard: number) => string[];
  /** ulimit does the same on every system. Else only under Linux: macOS ignores it, or counts in other units. */
  readonly everywhere?: boolean;
}

const option = (letter: string) => (value: number) => [`ulimit -${letter} ${value}`];

const RLIMITS: readonly Rlimit[] = [
  {
    name: "cpuSeconds",
    row: "Max cpu time",
    least: 1,
    unit: 1,
    // With both the same the kernel sends SIGKILL at once, and nobody can tell why.
    commands: (value, hard) => [
      `ulimit -S -t ${value}`,
      `ulimit -H -t ${Math.min(value + 1, hard)}`,
    ],
    everywhere: true,
  },
  // Measured with glibc: env(1) needs 3 MiB of address space, bash 4 MiB; and 0.3 MiB of data.
  { name: "addressSpaceBytes", row: "Max address space", least: 8 << 20, unit: 1024, commands: option("v") },
  { name: "dataBytes", row: "Max data size", least: 1 << 20, unit: 1024, commands: option("d") },
  // Shells move a descriptor that they redirect to 10 or above.
  { name: "openFiles", row: "Max open files", least: 16, unit: 1, commands: option("n"), everywhere: true },
  { name: "fileSizeBytes", row: "Max file size", least: 0, unit: 512, commands: option("f") },
  {
    // The last one: after it the shell may not be able to fork. dash calls it -p, which in bash is another limit.
    name: "processes",
    row: "Max processes",
    least: 1,
    unit: 1,
    commands: (value) => [
      `if (ulimit -u) >/dev/null 2>&1; then ulimit -u ${value}; else ulimit -p ${value}; fi`,
    ],
    everywhere: true,
  },
];

/**
 * The commands that set these limits; none without limits.
 * @throws ExecServerError `INVALID_PARAMS`, `UNSUPPORTED`
 */
export function ulimitCommands(limits: ResourceLimits, setting: Setting): string[] {
  const unknown = Object.keys(limits).find((name) => !RLIMITS.some((known) => known.name === name));
  if (unknown !== undefined) {
    const known = RLIMITS.map(({ name }) => name).join(", ");
    throw invalidParams(`limits.${clip(unknown)} is not known: there are ${known}`);
  }
  const asked = RLIMITS.flatMap((rlimit) => {
    const value = limits[rlimit.name];
    return value === undefined ? [] : [{ ...rlimit, value }];
  });
  for (const { name, least, value } of asked) {
    if (!Number.isSafeInteger(value) || value < least) {
      throw invalidParams(`limits.${name} must be a whole number of at least ${least}, not ${value}`);
    }
  }
  const hardLimits = asked.length > 0 ? ownLimits() : "";
  return asked.flatMap(({ name, row, unit, value, commands, everywhere }) => {
    if (!everywhere && process.platform !== "linux") {
      throw unsupported(`limits.${name} cannot be enforced on ${process.platform}: leave it out`);
    }
    if (name === "processes") {
      if (setting.inCgroup) return [];
      requireCountedUser(setting.uid);
    }
    const hard = hardLimit(hardLimits, row);
    return commands(Math.floor(Math.min(value, hard) / unit), Math.floor(hard / unit));
  });
}

/** Empty where the kernel does not tell: ulimit fails for what is above the hard limit, and nothing runs. */
function ownLimits(): string {
  try {
    return readFileSync("/proc/self/limits", "latin1");
  } catch {
    return "";
  }
}

function hardLimit(text: string, row: string): number {
  const hard = new RegExp(`^${row} +\\S+ +(\\d+)`, "m").exec(text)?.[1];
  return hard === undefined ? Infinity : Number(hard); // `unlimited`, or not told
}

/** CAP_SYS_ADMIN and CAP_SYS_RESOURCE (capability.h): whoever has one may fork beyond RLIMIT_NPROC. */
const EXEMPTING = 1n << 21n | 1n << 24n;

/** RLIMIT_NPROC counts what a user runs, all of it, and does not bind root (getrlimit(2)). */
function requireCountedUser(uid: number | undefined): void {
  if (uid === 0) {
    throw unsupported(
      "limits.processes cannot be enforced: the kernel exempts root from it; run the server as another user, " +
        "or where it has a writable cgroup2 with the pids controller",
    );
  }
  if (uid === process.getuid?.() && (inheritedCapabilities() & EXEMPTING) !== 0n) {
    throw unsupported(
      "limits.processes cannot be enforced: CAP_SYS_ADMIN and CAP_SYS_RESOURCE exempt from it; " +
        "run the server without them",
    );
  }
}

/** Those that a program started by an ordinary user keeps (capabilities(7), ambient). */
function inheritedCapabilities(): bigint {
  try {
    const hex = /^CapAmb:\s*([0-9a-f]+)$/m.exec(readFileSync("/proc/self/status", "latin1"))?.[1];
    return hex === undefined ? 0n : BigInt(`0x${hex}`);
  } catch {
    return 0n;
  }
}
