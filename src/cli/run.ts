/** `exec-server run -- COMMAND…`: the command's streams and exit code become ours. */
import { createReadStream, fstatSync } from "node:fs";
import process from "node:process";
import type { Writable } from "node:stream";
import type { Environment } from "../environment.ts";
import { hasCode, toExecServerError } from "../protocol/error.ts";
import { INHERIT_ALL_BUT_SECRETS, type Process, type StartOptions } from "../process/trait.ts";
import { complain, ExitCode, explain, UsageError } from "./exit.ts";
import { listOption, openEnvironment, type Options, textOption, wordOption } from "./options.ts";

/** Bytes of standard input that are read at once. */
const STDIN_CHUNK_BYTES = 256 * 1024;
/** What a program gets that writes to a pipe nobody reads: 128 + SIGPIPE. */
const BROKEN_PIPE_EXIT_CODE = 141;

/** Runs a command and returns its exit code, or 125 to 127 when it could not be run. */
export async function run(command: readonly string[], options: Options): Promise<number> {
  if (command.length === 0) {
    throw new UsageError("no command: write it after `--`, for example `exec-server run -- ls -l`");
  }
  const forwardStdin = options["stdin"] !== false && stdinIsPiped(); // cac turns --no-stdin into `stdin: false`
  const start = startOptions(command, options, forwardStdin);
  let environment: Environment;
  try {
    environment = await openEnvironment(options);
  } catch (error) {
    if (error instanceof UsageError) throw error;
    complain(explain(error));
    return ExitCode.runFailed;
  }
  try {
    return await relay(await environment.processes.start(start), forwardStdin);
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

async function relay(started: Process, forwardStdin: boolean): Promise<number> {
  let broken = false;
  const onBrokenPipe = () => {
    broken = true;
    void started.terminate().catch(() => {});
  };
  const stopSignals = forwardSignals(started);
  const copies = Promise.all([
    copy(started.stdout, process.stdout, onBrokenPipe),
    copy(started.stderr, process.stderr, onBrokenPipe),
  ]);
  if (forwardStdin) void feed(started).catch(() => {}); // a command need not read its input to its end
  try {
    await copies;
    const { exitCode } = await started.wait();
    return broken ? BROKEN_PIPE_EXIT_CODE : exitCode;
  } finally {
    stopSignals();
  }
}

async function copy(from: ReadableStream<Uint8Array>, to: Writable, onBrokenPipe: () => void): Promise<void> {
  let broken = false;
  to.on("error", () => {
    if (broken) return;
    broken = true;
    onBrokenPipe();
  });
  for await (const bytes of from) {
    if (broken) continue; // what is left must still be taken, so that the process can end
    await new Promise<void>((resolve) => to.write(bytes, () => resolve()));
  }
}

async function feed(started: Process): Promise<void> {
  const writer = started.stdin.getWriter();
  for await (
    const chunk of createReadStream("", { fd: 0, autoClose: false, highWaterMark: STDIN_CHUNK_BYTES })
  ) {
    if (chunk instanceof Uint8Array) await writer.write(chunk);
  }
  await writer.close();
}

/** Ctrl-C goes to the command; a second one kills it. TERM and HUP kill it. */
function forwardSignals(started: Process): () => void {
  let interrupts = 0;
  const interrupt = () => {
    const sent = ++interrupts === 1 ? started.signal("interrupt") : started.terminate();
    sent.catch(() => {});
  };
  const end = () => void started.terminate().catch(() => {});
  process.on("SIGINT", interrupt);
  process.on("SIGTERM", end);
  process.on("SIGHUP", end);
  return () => {
    process.off("SIGINT", interrupt);
    process.off("SIGTERM", end);
    process.off("SIGHUP", end);
  };
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
