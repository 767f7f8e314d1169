/** How commands end: exit codes that scripts can use, messages that say what to do next. */
import process from "node:process";
import { toExecServerError } from "../protocol/error.ts";

/** Exit codes of our own (the first three as in env(1), nohup(1) and docker-run(1)). */
export const ExitCode = {
  /** A server could not be started; a file operation failed. */
  failure: 1,
  /** The command line is wrong. */
  usage: 2,
  /** `run` itself failed. */
  runFailed: 125,
  /** The program is there and cannot be executed. */
  notExecutable: 126,
  /** The program was not found. */
  notFound: 127,
} as const;

/** A wrong command line. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** Prints `exec-server: …` on standard error. */
export function complain(message: string): void {
  process.stderr.write(`exec-server: ${message}\n`);
}

/** The text of any error, with a hint where one helps. */
export function explain(error: unknown): string {
  const { code, message } = toExecServerError(error);
  switch (code) {
    case "CONNECT_FAILED":
      return `${message}\nIs the server running? Start one with \`exec-server serve\` and pass the line it prints as --url.`;
    case "TIMEOUT":
      return `${message}\nSomething listens there that does not speak this protocol, or it is stuck.`;
    default:
      return message;
  }
}
