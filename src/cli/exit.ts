/** How commands end: exit codes that scripts can use, messages that say what to do next. */
import process from "node:process";
import type { ExitStatus } from "../process/trait.ts";
import { toExecServerError } from "../protocol/error.ts";
import { printable } from "./printable.ts";

/** Exit codes of our own (those from 124 on as in timeout(1), env(1), nohup(1) and docker-run(1)). */
export const ExitCode = {
  /** A server could not be started; a file operation failed; nothing to kill, or something was left. */
  failure: 1,
  /** The command line is wrong. */
  usage: 2,
  /** The time of `run --timeout` was over. */
  timedOut: 124,
  /** `run` or `shell` itself failed, or lost the server. */
  runFailed: 125,
  /** The program is there and cannot be executed. */
  notExecutable: 126,
  /** The program was not found. */
  notFound: 127,
  /** Ctrl-C ended `attach --read-only`: 128 + SIGINT. */
  interrupted: 130,
  /** Nobody reads our output any more: 128 + SIGPIPE, as for any program that writes to a broken pipe. */
  brokenPipe: 141,
} as const;

/** A wrong command line. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** Prints `exec-server: …` on standard error. */
export function complain(message: string): void {
  process.stderr.write(`exec-server: ${printable(message)}\n`);
}

/** The exit code that a process's end is ours with; says on standard error what the code does not tell. */
export function exitCodeOf({ exitCode, timedOut, oomKilled }: ExitStatus): number {
  if (oomKilled) complain("the kernel there killed the command for want of memory");
  if (!timedOut) return exitCode;
  complain("the command's time is over (--timeout)");
  return ExitCode.timedOut;
}

/** The text of any error, with a hint where one helps. */
export function explain(error: unknown): string {
  const { code, message } = toExecServerError(error);
  switch (code) {
    case "CONNECT_FAILED":
      return `${message}\nIs the server running? Start one with \`exec-server serve\`; the line it prints goes into EXEC_SERVER_URL.`;
    case "UNAUTHORIZED":
      return `${message}\nPass the URL as the server printed it, with its token, by EXEC_SERVER_URL or --url-file; ` +
        "or the token by EXEC_SERVER_TOKEN or --token-file.";
    case "TIMEOUT":
      return `${message}\nSomething listens there that does not speak this protocol, or it is stuck.`;
    default:
      return message;
  }
}
