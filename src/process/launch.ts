/** From a start to a running child: program, environment, limits, and pipes or a terminal. */
import process from "node:process";
import { ExecServerError, hasCode, unsupported } from "../protocol/error.ts";
import { cannotEnforce } from "../sandbox/unavailable.ts";
import { DEFAULT_TERMINAL_COLS, DEFAULT_TERMINAL_ROWS } from "../protocol/limits.ts";
import type { ByteSink, ByteSource, ChildExit, ExtraDescriptors, ExtraEnds } from "../runtime/child.ts";
import { spawnChild } from "../runtime/spawn.ts";
import { spawnTerminal, type TerminalInput } from "../runtime/terminal.ts";
import { childEnvironment } from "./env_policy.ts";
import { cgroupInUse, mayStart } from "./family_look.ts";
import { guarded } from "./guard.ts";
import { findProgram, requireDirectory } from "../command/find_program.ts";
import { type LimitedCommand, limitedCommand } from "./resource_limits.ts";
import { launchInside, prepare, type Prepared } from "./sandboxed.ts";
import type { LocalStart } from "./local.ts";
import type { OutputStream, TerminalSize } from "./trait.ts";

/** A child that runs, whatever its input and output are. */
export interface Launched {
  readonly pid: number;
  readonly input: ByteSink | null;
  readonly outputs: readonly { readonly stream: OutputStream; readonly source: ByteSource }[];
  /** Resolves when the child has been reaped. */
  readonly exited: Promise<ChildExit>;
  /** What whoever reads the terminal finds. Absent without one, and where it cannot be known. */
  readonly unread?: (() => TerminalInput) | undefined;
  /** Absent without a terminal. */
  readonly resize?: (size: TerminalSize) => void;
  /** To be called when all of it has ended. */
  readonly release?: () => void | Promise<void>;
  /** To be called when nothing of its family is left, which a background job may be for long after that. */
  readonly forgotten?: (() => void) | undefined;
  /** There when extra descriptors were asked for. */
  readonly extra?: ExtraEnds | undefined;
  /** There when the pid is a sandbox's: the group of the program in it, while there is one. */
  readonly inside?: { readonly group: () => number | undefined } | undefined;
}

/** What execvp(3) runs scripts without an interpreter line with. */
const SHELL = "/bin/sh";
/** What our terminals understand: nothing, they pass bytes; it is what terminals of people are today. */
const DEFAULT_TERM = "xterm-256color";

/** bwrap, and the init of the sandbox. */
const PROCESSES_OF_A_SANDBOX = 2;

/** What is executed. */
interface Command {
  readonly file: string;
  readonly argv: readonly string[];
}

/**
 * Starts a child.
 * @param marks variables that every descendant is known by
 * @param began called for a sandbox that has been started and does not stand yet
 * @throws ExecServerError as {@link Processes.start} says
 */
export async function launch(
  options: LocalStart,
  marks: Readonly<Record<string, string>>,
  began: (pid: number, group: () => number | undefined) => void,
): Promise<Launched> {
  requireDirectory(options.cwd);
  const env = { ...childEnvironment(options.envPolicy, process.env, options.env), ...marks };
  if (options.tty) env["TERM"] ??= DEFAULT_TERM;
  const file = findProgram(options.argv[0] ?? "", options.cwd, env);
  const [first = file, ...rest] = options.argv;
  await mayStart();
  await guarded();
  const sandbox = options.enforced && await prepare(options.enforced, { cwd: options.cwd, file });
  const limits = options.limits ?? {};
  // The only limit that a cgroup counts better: root has no RLIMIT_NPROC, and others share one among all they run.
  const leaf = limits.processes === undefined
    ? undefined
    : cgroupInUse()?.limited({ processes: limits.processes + (sandbox ? PROCESSES_OF_A_SANDBOX : 0) });
  const spawn = (command: LimitedCommand, cwd: string, extra?: ExtraDescriptors) =>
    options.tty ? inTerminal(options, command, cwd, extra) : withPipes(options, command, cwd, extra);
  const startInside = async (prepared: Prepared, command: Command): Promise<Launched> => {
    const { processes: _, ...perProcess } = limits;
    const limited = limitedCommand(leaf ? perProcess : limits, command, { env });
    const inside = { command: limited, tty: options.tty, marks, cgroupProcsFile: leaf?.procsFile };
    return await launchInside(prepared, inside, spawn, began);
  };
  const start = async (command: Command): Promise<Launched> => {
    if (sandbox) return await startInside(sandbox, command);
    const limited = limitedCommand(limits, command, { env, cgroupProcsFile: leaf?.procsFile });
    return await spawn(limited, options.cwd);
  };
  try {
    const launched = await start({ file, argv: [options.arg0 ?? first, ...rest] }).catch((error: unknown) => {
      // A script without `#!`: Node's and Deno's execvp runs it with the shell (execvp(3)); Bun's spawn reports it.
      if (sandbox || !hasCode(error) || error.code !== "ENOEXEC") throw error;
      return start({ file: SHELL, argv: [SHELL, file, ...rest] });
    });
    return leaf ? { ...launched, forgotten: () => leaf.remove() } : launched;
  } catch (error) {
    leaf?.remove();
    await sandbox?.claim.release();
    throw error;
  }
}

async function withPipes(
  options: LocalStart,
  command: LimitedCommand,
  cwd: string,
  extra: ExtraDescriptors | undefined,
): Promise<Launched> {
  const child = await spawnChild({ ...command, cwd, stdin: options.pipeStdin, extra });
  return {
    pid: child.pid,
    input: child.stdin,
    outputs: [{ stream: "stdout", source: child.stdout }, { stream: "stderr", source: child.stderr }],
    exited: child.exited,
    extra: child.extra,
  };
}

async function inTerminal(
  options: LocalStart,
  command: LimitedCommand,
  cwd: string,
  extra: ExtraDescriptors | undefined,
): Promise<Launched> {
  const size = options.size ?? { rows: DEFAULT_TERMINAL_ROWS, cols: DEFAULT_TERMINAL_COLS };
  const child = await spawnTerminal({ ...command, cwd, size, extra }).catch((error: unknown) => {
    if (!(error instanceof ExecServerError) && hasCode(error) && error.code === "UNSUPPORTED") {
      if (extra) throw cannotEnforce("needs-executable", "a terminal in a sandbox");
      throw unsupported(`no terminal can be had here: ${error.message}`);
    }
    throw error;
  });
  return {
    pid: child.pid,
    input: child.input,
    outputs: [{ stream: "pty", source: child.output }],
    exited: child.exited,
    unread: child.unread,
    resize: (to) => child.resize(to),
    extra: child.extra,
  };
}
