/** What `run` and `shell` start, and why it did not start. */
import { posix } from "node:path";
import process from "node:process";
import type { Environment } from "../environment.ts";
import { INHERIT_ALL_BUT_SECRETS, type Process, type StartOptions } from "../process/trait.ts";
import { hasCode, toExecServerError } from "../protocol/error.ts";
import { complain, ExitCode, explain, UsageError } from "./exit.ts";
import { listOption, type Options, textOption, wordOption } from "./options.ts";
import { sandboxFrom, sandboxOption } from "./sandbox.ts";
import { terminalSize } from "./terminal.ts";

/** What the options of every start say: `--cwd`, `--env`, `--inherit-env`, `--sandbox` and what belongs to it. */
export function startOptions(options: Options): Omit<StartOptions, "argv"> {
  const env: Record<string, string> = {};
  for (const pair of listOption(options, "env")) {
    const at = pair.indexOf("=");
    if (at < 1) throw new UsageError(`--env takes NAME=VALUE, not '${pair}'`);
    env[pair.slice(0, at)] = pair.slice(at + 1);
  }
  const inherit = wordOption(options, "inherit-env", ["all", "core", "none"], "all");
  const cwd = textOption(options, "cwd");
  const sandbox = sandboxOption(options);
  return {
    env,
    envPolicy: { ...INHERIT_ALL_BUT_SECRETS, inherit },
    ...(cwd !== undefined && { cwd }),
    ...(sandbox && { sandbox }),
  };
}

/** The same in a terminal like ours. */
export function inTerminal(start: StartOptions): StartOptions {
  const { TERM } = process.env;
  const size = terminalSize();
  return {
    ...start,
    tty: true,
    env: { ...(TERM !== undefined && TERM !== "" && { TERM }), ...start.env },
    // Full-screen programs would believe these more than the terminal itself.
    envPolicy: { ...(start.envPolicy ?? INHERIT_ALL_BUT_SECRETS), exclude: ["LINES", "COLUMNS"] },
    ...(size && { size }),
  };
}

/** Starts it; a relative `--cwd` or `--sandbox-root` counts from the environment's own directory. */
export async function startThere(environment: Environment, start: StartOptions): Promise<Process> {
  const { cwd, sandbox } = start;
  const base = (await environment.info.get()).cwd ?? "/";
  return await environment.processes.start({
    ...start,
    ...(typeof cwd === "string" && { cwd: posix.resolve(base, cwd) }),
    ...(sandbox && { sandbox: sandboxFrom(base, sandbox) }),
  });
}

/** Says why it did not start, or broke off, and returns the exit code that shells use for it. */
export async function startFailure(
  error: unknown,
  environment: Environment,
  start: StartOptions,
): Promise<number> {
  const { code } = toExecServerError(error);
  const program = start.argv[0] ?? "";
  if (
    start.cwd !== undefined && hasCode(error) &&
    (code === "ENOENT" || code === "ENOTDIR" || code === "EACCES")
  ) {
    const there = await environment.files.stat(start.cwd).catch(() => undefined);
    if (!there?.isDirectory) {
      complain(`--cwd ${start.cwd}: ${there ? "not a directory" : "no such directory there"}`);
      return ExitCode.runFailed;
    }
  }
  switch (code) {
    case "ENOENT":
      complain(`${program}: command not found`);
      return ExitCode.notFound;
    case "EACCES":
    case "ENOEXEC":
      complain(`${program}: cannot be executed (${explain(error)})`);
      return ExitCode.notExecutable;
    default:
      complain(explain(error));
      return ExitCode.runFailed;
  }
}
