/** Runs a program with a time limit, in a process group of its own, of which nothing is left afterwards. */
import { spawn } from "node:child_process";
import process from "node:process";
import { atExit } from "../../tests/harness/at_exit.ts";

/** How to run it. */
export interface RunOptions {
  readonly args: readonly string[];
  /** All of the program's environment. */
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
  /** After this many milliseconds the whole group is killed. */
  readonly limitMs: number;
}

/** How it ended. */
export interface RunResult {
  /** Undefined when a signal ended it. */
  readonly exitCode: number | undefined;
  /** The limit was reached. */
  readonly timedOut: boolean;
  readonly stdout: string;
  readonly stderr: string;
}

/** Waits for the end of the program, then kills what is left of its group. @throws when it cannot be started */
export async function runProgram(program: string, options: RunOptions): Promise<RunResult> {
  const child = spawn(program, options.args, {
    cwd: options.cwd,
    env: options.env,
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let stdout = "", stderr = "", timedOut = false;
  child.stdout.setEncoding("utf8").on("data", (text: string) => stdout += text);
  child.stderr.setEncoding("utf8").on("data", (text: string) => stderr += text);
  const group = child.pid;
  const kill = () => {
    if (group !== undefined) killGroup(group);
  };
  if (group !== undefined) killAtExit.add(group);
  const timer = setTimeout(() => {
    timedOut = true;
    kill();
  }, options.limitMs);
  try {
    const exitCode = await new Promise<number | undefined>((ok, fail) => {
      child.once("error", fail);
      // A launcher may end before the program that it has started: the pipes tell the end of both.
      child.once("close", (code) => ok(code ?? undefined));
    });
    return { exitCode, timedOut, stdout, stderr };
  } finally {
    clearTimeout(timer);
    kill();
    if (group !== undefined) killAtExit.delete(group);
  }
}

const killAtExit = new Set<number>();
atExit(() => {
  for (const group of killAtExit) killGroup(group);
});

function killGroup(group: number): void {
  try {
    process.kill(-group, "SIGKILL");
  } catch {
    // nothing is left of it
  }
}
