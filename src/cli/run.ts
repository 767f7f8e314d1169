/** `exec-server run -- COMMAND…`: the command's streams and exit code become ours. */
import { fstatSync } from "node:fs";
import { posix } from "node:path";
import process from "node:process";
import type { Environment } from "../environment.ts";
import { hasCode, toExecServerError } from "../protocol/error.ts";
import { INHERIT_ALL_BUT_SECRETS, type StartOptions } from "../process/trait.ts";
import { complain, ExitCode, explain, UsageError } from "./exit.ts";
import {
  connectionReport,
  listOption,
  openEnvironment,
  type Options,
  serverUrl,
  switchOption,
  textOption,
  ttlOption,
  wordOption,
} from "./options.ts";
import { relay } from "./relay.ts";

/** Runs a command and returns its exit code, or 125 to 127 when it could not be run. */
export async function run(command: readonly string[], options: Options): Promise<number> {
  if (command.length === 0) {
    throw new UsageError("no command: write it after `--`, for example `exec-server run -- ls -l`");
  }
  const detach = switchOption(options, "detach");
  if (detach && serverUrl(options) === undefined) throw new UsageError("--detach needs a server: pass --url");
  // cac turns --no-stdin into `stdin: false`
  const forwardStdin = !detach && options["stdin"] !== false && stdinIsPiped();
  const start = startOptions(command, options, forwardStdin);
  let environment: Environment;
  try {
    environment = await openEnvironment(options, { ...ttlOption(options), ...connectionReport(options) });
  } catch (error) {
    if (error instanceof UsageError) throw error;
    complain(explain(error));
    return ExitCode.runFailed;
  }
  try {
    const { cwd } = start;
    const base = (await environment.info.get()).cwd ?? "/";
    const started = await environment.processes.start(
      typeof cwd === "string" ? { ...start, cwd: posix.resolve(base, cwd) } : start,
    );
    if (!detach) return await relay(started, forwardStdin);
    process.stdout.write(`${environment.sessionId} ${started.id}\n`);
    return 0;
  } catch (error) {
    return await report(error, environment, start);
  } finally {
    await environment.close();
  }
}

function startOptions(argv: readonly string[], options: Options, pipeStdin: boolean): StartOptions {
  const env: Record<string, string> = {};
  for (const pair of listOption(options, "env")) {
    const at = pair.indexOf("=");
    if (at < 1) throw new UsageError(`--env takes NAME=VALUE, not '${pair}'`);
    env[pair.slice(0, at)] = pair.slice(at + 1);
  }
  const inherit = wordOption(options, "inherit-env", ["all", "core", "none"], "all");
  const cwd = textOption(options, "cwd");
  return {
    argv,
    env,
    envPolicy: { ...INHERIT_ALL_BUT_SECRETS, inherit },
    pipeStdin,
    ...(cwd !== undefined && { cwd }),
  };
}

/** Only a pipe, a file or a socket is forwarded: a terminal stays the user's, /dev/null has nothing. */
function stdinIsPiped(): boolean {
  try {
    const stat = fstatSync(0);
    return stat.isFIFO() || stat.isFile() || stat.isSocket();
  } catch {
    return false; // closed
  }
}

/** Why it did not start, as the exit code that shells use for it. */
async function report(error: unknown, environment: Environment, start: StartOptions): Promise<number> {
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
