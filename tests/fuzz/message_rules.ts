/** What holds for every message, close code and log line of a server, whatever it was sent. */
import { RpcCode } from "../../src/protocol/error.ts";
import { MAX_QUOTED_CHARS } from "../../src/protocol/limits.ts";
import { isObject } from "../harness/wire_client.ts";

/**
 * Codes of close frames that docs/protocol.md names, and what answers our own end: an echo of 1000, 1005 for a close
 * frame without a code.
 */
export const CLOSE_CODES: ReadonlySet<number> = new Set([1000, 1001, 1002, 1005, 1007, 1008, 1009, 4001]);

const ERROR_CODES: ReadonlySet<unknown> = new Set(Object.values(RpcCode));
const NOTIFICATIONS: ReadonlySet<unknown> = new Set([
  "process/output",
  "process/exited",
  "process/closed",
  "process/outputLost",
]);
/** An error may quote two texts of the client in a sentence of ours. */
const MAX_ERROR_CHARS = 2 * MAX_QUOTED_CHARS + 200;
const STACK = /\n\s+at |\bat (?:async )?\S+ \(|\/\$bunfs\/|node:internal|\.ts:\d+/;

/** What is wrong with a message of the server; undefined when nothing is. */
export function messageProblem(message: unknown): string | undefined {
  if (!isObject(message)) return "a message that is no object";
  if ("method" in message) {
    return NOTIFICATIONS.has(message["method"]) && !("id" in message) ? undefined : "an unknown notification";
  }
  const { id, error } = message;
  if (typeof id !== "string" && typeof id !== "number") return "an answer without an id";
  if ("result" in message === "error" in message) return "not exactly one of result and error";
  if ("result" in message) return undefined;
  if (!isObject(error)) return "an error that is no object";
  if (!ERROR_CODES.has(error["code"])) return "an error code that is not documented";
  const text = error["message"];
  if (typeof text !== "string" || text === "") return "an error without a text";
  if (STACK.test(text)) return "an error with a stack trace";
  return text.length > MAX_ERROR_CHARS ? `an error text of ${text.length} characters` : undefined;
}

/** What is wrong with a line of the server's log (`--log-format json`); undefined when nothing is. */
export function logProblem(line: string): string | undefined {
  let entry: unknown;
  try {
    entry = JSON.parse(line);
  } catch {
    return `printed what is no log entry: ${line.slice(0, 2_000)}`;
  }
  const isQuiet = isObject(entry) && typeof entry["level"] === "string" && entry["level"] !== "error";
  return isQuiet ? undefined : `logged an error: ${line.slice(0, 2_000)}`;
}
