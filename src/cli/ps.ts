/** `exec-server ps`: the processes of a session, for people and for programs. */
import process from "node:process";
import type { ProcessSummary } from "../process/trait.ts";
import { type Options, switchOption } from "./options.ts";
import { shellCommand, shellQuoted, terminalJson } from "./printable.ts";
import { withSession } from "./session.ts";
import { type Column, table } from "./table.ts";

const COLUMNS: readonly Column[] = [
  { title: "PROCESS" },
  { title: "PID", right: true },
  { title: "STATE" },
  { title: "STARTED" },
  { title: "CPU", right: true },
  { title: "MEM", right: true },
  { title: "OUT", right: true },
  { title: "COMMAND" },
];
const UNKNOWN = "-";

/** Lists the processes of a session. */
export async function ps(options: Options): Promise<number> {
  return await withSession(options, switchOption(options, "force"), async (session) => {
    const processes = await session.processes.list();
    if (switchOption(options, "json")) {
      process.stdout.write(`${terminalJson(processes.map(inFull))}\n`);
      return 0;
    }
    const width = process.stdout.isTTY ? process.stdout.columns : undefined;
    const lines = table(COLUMNS, processes.map(row), width || undefined);
    process.stdout.write(lines.map((line) => `${line}\n`).join(""));
    return 0;
  });
}

/** Every member, in a fixed order; what is not known is null instead of missing. */
function inFull(one: ProcessSummary) {
  const { exit, usage } = one;
  return {
    id: one.id,
    argv: one.argv,
    state: one.state,
    pid: one.pid ?? null,
    exit: exit
      ? {
        exitCode: exit.exitCode,
        signal: exit.signal ?? null,
        timedOut: exit.timedOut,
        terminated: exit.terminated,
        oomKilled: exit.oomKilled,
      }
      : null,
    startedAtMs: one.startedAtMs,
    cwd: one.cwd ?? null,
    tty: one.tty ?? null,
    outputBytes: one.outputBytes ?? null,
    usage: usage
      ? { processes: usage.processes, cpuTimeMs: usage.cpuTimeMs, memoryBytes: usage.memoryBytes }
      : null,
  };
}

function row(one: ProcessSummary): string[] {
  const { id, pid, startedAtMs, usage, outputBytes, argv } = one;
  return [
    shellQuoted(id),
    pid === undefined ? UNKNOWN : String(pid),
    stateOf(one),
    localTime(startedAtMs),
    usage ? cpuTime(usage.cpuTimeMs) : UNKNOWN,
    usage ? size(usage.memoryBytes) : UNKNOWN,
    outputBytes === undefined ? UNKNOWN : size(outputBytes),
    shellCommand(argv),
  ];
}

function stateOf({ state, exit }: ProcessSummary): string {
  if (!exit) return state;
  if (exit.timedOut) return "timed out";
  if (exit.oomKilled) return "out of memory";
  return exit.signal ? `killed ${exit.signal}` : `exited ${exit.exitCode}`;
}

/** `2026-11-22 18:41:10`, as the clocks of this place show it. */
function localTime(ms: number): string {
  const at = new Date(ms);
  const two = (value: number) => String(value).padStart(2, "0");
  const day = [at.getFullYear(), two(at.getMonth() + 1), two(at.getDate())].join("-");
  return `${day} ${[at.getHours(), at.getMinutes(), at.getSeconds()].map(two).join(":")}`;
}

/** `0:01.25`, `12:34`, `3:04:05`. */
function cpuTime(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  const minutes = Math.floor(seconds / 60);
  const two = (value: number) => String(value).padStart(2, "0");
  if (minutes < 10) return `${minutes}:${two(seconds % 60)}.${two(Math.floor(ms % 1000 / 10))}`;
  if (minutes < 60) return `${minutes}:${two(seconds % 60)}`;
  return `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${two(seconds % 60)}`;
}

/** `512`, `1.5K`, `23M`. */
function size(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < 5) {
    value /= 1024;
    unit++;
  }
  const digits = unit > 0 && value < 9.95 ? 1 : 0;
  return `${value.toFixed(digits)}${" KMGTP".charAt(unit).trim()}`;
}
