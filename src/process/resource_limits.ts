/**
 * Limits for a process: a short chain of programs that sets them on itself and becomes the program.
 *
 * ```text
 * /bin/sh                 joins the cgroup, sets the limits (ulimit), becomes
 *   /usr/bin/env          removes what the shell added, adds what the shell was not to see, becomes
 *     (bash)              only for an argv[0] that says nothing of the file; becomes
 *       the program
 * ```
 *
 * The pid stays the same. Why so: no runtime of ours can call setrlimit(2); prlimit(1) is not everywhere and cannot
 * join a cgroup; a shell and env(1) are wherever commands are run. Measured: 1.1 ms a start, with bash 2.4 ms.
 *
 * A shell spoils the environment (PWD, SHLVL, IFS …), and an environment can spoil a shell (SHELLOPTS, LD_PRELOAD,
 * exported functions …). So the shell starts with harmless variables only. The others travel as arguments of env(1),
 * which runs with the limits on it. Other users can see arguments (/proc/PID/cmdline), for that millisecond. So only
 * what a shell would spoil goes that way; of that only a name which is none to a shell, such as npm's
 * `npm_config_//host/:_authToken`, may hold a secret.
 *
 * A limit is set as the soft and as the hard one, so that the program cannot raise it. Our own hard limit is never
 * raised: where it is lower, it stays.
 */
import { accessSync, constants } from "node:fs";
import process from "node:process";
import { unsupported } from "../protocol/error.ts";
import { withArgv0 } from "../command/argv0.ts";
import { passesShell } from "../command/shell_names.ts";
import { ulimitCommands } from "./resource_limits_rlimits.ts";
import type { ResourceLimits } from "./trait.ts";

/** What to execute, and with which environment. */
export interface LimitedCommand {
  /** Absolute path. */
  readonly file: string;
  readonly argv: readonly string[];
  /** What to start it with: the program gets the one that was asked for. */
  readonly env: Readonly<Record<string, string>>;
}

/** What is known of the start. */
export interface LimitContext {
  /** The environment of the program. */
  readonly env: Readonly<Record<string, string>>;
  /**
   * The `cgroup.procs` of a cgroup that has `pids.max` set: the process joins it first, and `processes` is left to
   * it. Joined also without any limit.
   */
  readonly cgroupProcsFile?: string | undefined;
  /** The user it will run as; ourselves without it. */
  readonly uid?: number | undefined;
}

const SHELL = "/bin/sh";
const ENV = "/usr/bin/env";
/** Exit code when a limit could not be set: nothing was run. env(1) means the same by it. A program may use it too. */
export const LIMITS_FAILED_EXIT_CODE = 125;
/** What shells add to the environment; PATH, where there is none, is busybox. */
const ADDED_BY_SHELLS = ["PWD", "OLDPWD", "SHLVL", "_", "PATH"];

/**
 * What to execute so that the limits hold from the first instruction of the program. It gets exactly `context.env`
 * and the argv of the command. Without limits it is the command itself.
 * @param command absolute path of the program, and its argv
 * @throws ExecServerError `INVALID_PARAMS` for a value out of range; `UNSUPPORTED` when a limit cannot be enforced
 * here, or the program cannot be run with that argv[0]
 */
export function limitedCommand(
  limits: ResourceLimits,
  command: { readonly file: string; readonly argv: readonly string[] },
  context: LimitContext,
): LimitedCommand {
  const { env, cgroupProcsFile } = context;
  const inCgroup = cgroupProcsFile !== undefined;
  const commands = ulimitCommands(limits, { inCgroup, uid: context.uid ?? process.getuid?.() });
  if (commands.length === 0 && !inCgroup) return { ...command, env };
  requireProgram(SHELL);
  requireProgram(ENV);
  const { argv, env: passed } = withArgv0(command, env);
  const entries = Object.entries(passed);
  const quiet = Object.fromEntries(entries.filter(([name]) => passesShell(name)));
  const added = ADDED_BY_SHELLS.filter((name) => quiet[name] === undefined);
  const script = [
    // Before the limits: what cannot be done ends here.
    `set -e; trap 'exit ${LIMITS_FAILED_EXIT_CODE}' EXIT`,
    ...(inCgroup ? ['echo $$ >"$1"; shift'] : []),
    ...commands,
    `exec ${ENV} ${added.map((name) => `-u ${name}`).join(" ")} -- "$@"`,
  ].join("\n");
  return {
    file: SHELL,
    argv: [
      SHELL,
      "-c",
      script,
      "exec-server", // how messages of the shell begin
      ...(inCgroup ? [cgroupProcsFile] : []),
      ...entries.filter(([name]) => !passesShell(name)).map(([name, value]) => `${name}=${value}`),
      ...argv,
    ],
    env: quiet,
  };
}

function requireProgram(path: string): void {
  try {
    accessSync(path, constants.X_OK);
  } catch {
    throw unsupported(`limits cannot be set here: there is no ${path}; start without limits, or install it`);
  }
}
