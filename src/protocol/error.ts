/**
 * The one error type of this package, and how it travels.
 *
 * A caller sees a stable {@link ExecServerError.code}; the wire carries a JSON-RPC number and a text. Operating
 * system errors keep their POSIX name (`ENOENT`) on both sides, because the text names the errno:
 * `No such file or directory (os error 2)`.
 */
import { errnoName, osErrorText } from "./os_error.ts";

/** JSON-RPC error numbers of the wire (protocol reference, section 5). */
export const RpcCode = {
  /** Invalid request or input, limits, EACCES and EINVAL of file operations. */
  invalidRequest: -32600,
  /** The method does not exist. */
  methodNotFound: -32601,
  /** Params cannot be decoded, or a checked value in them is wrong. */
  invalidParams: -32602,
  /** Any other operating-system or internal error. */
  internal: -32603,
  /** ENOENT in `fs/*`, unknown file handle. */
  notFound: -32004,
  /** The session is attached to another connection. */
  sessionAttached: -32010,
  /** Added: what is asked for cannot be had on this server's machine. */
  unsupported: -32011,
  /** Added: a limit of the server is reached; the text names it and the option that sets it. */
  limitReached: -32012,
} as const;

/** Names of failures that are not operating-system errors. */
export type ErrorName =
  | "INVALID_REQUEST"
  | "METHOD_NOT_FOUND"
  | "INVALID_PARAMS"
  | "INTERNAL"
  | "NOT_FOUND"
  | "SESSION_ATTACHED"
  | "UNKNOWN_SESSION"
  | "SESSION_TAKEN_OVER"
  | "UNSUPPORTED"
  | "SANDBOX_UNAVAILABLE"
  | "LIMIT_REACHED"
  | "DISCONNECTED"
  | "UNKNOWN_OUTCOME"
  | "OUTPUT_LOST"
  | "HANDLE_LOST"
  | "TIMEOUT"
  | "CONNECT_FAILED"
  | "UNAUTHORIZED"
  | "REFUSED"
  | "TLS_FAILED"
  | "PROTOCOL_VIOLATION"
  | "AUDIT_FAILED";

/** How the error texts of a server begin whose audit log cannot be written; it is known by them on the wire. */
export const AUDIT_FAILED_TEXT = "the audit log cannot be written";

/** Every failure that this package reports. */
export class ExecServerError extends Error {
  /** Always `ExecServerError`. */
  override readonly name = "ExecServerError";
  /** An {@link ErrorName}, or the POSIX name of an operating-system error such as `ENOENT`. Stable. */
  readonly code: string;
  /** The JSON-RPC error number, when the failure came over the wire or is meant for it. */
  readonly rpcCode: number | undefined;

  /**
   * Makes one.
   * @param code stable name of the failure
   * @param message what happened, for people
   */
  constructor(
    code: ErrorName | (string & Record<never, never>),
    message: string,
    options: { rpcCode?: number; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.rpcCode = options.rpcCode;
  }
}

/** Makes an {@link ExecServerError} for a POSIX error name, with the text the wire uses. */
export function osError(code: string, cause?: unknown): ExecServerError {
  return new ExecServerError(code, osErrorText(code), { cause });
}

/** -32600: the request makes no sense in the present state, or breaks a limit. */
export function invalidRequest(message: string): ExecServerError {
  return new ExecServerError("INVALID_REQUEST", message, { rpcCode: RpcCode.invalidRequest });
}

/** -32602: a parameter's value is wrong. */
export function invalidParams(message: string): ExecServerError {
  return new ExecServerError("INVALID_PARAMS", message, { rpcCode: RpcCode.invalidParams });
}

/**
 * -32012: a limit of the server is reached.
 * @param option the option of `serve` that sets it
 * @param advice what the client may do
 */
export function limitReached(problem: string, option: string, advice: string): ExecServerError {
  return new ExecServerError("LIMIT_REACHED", `${problem}: ${advice}, or raise ${option}`, {
    rpcCode: RpcCode.limitReached,
  });
}

/** -32011: it cannot be had here; the text says why, and what to do. */
export function unsupported(message: string): ExecServerError {
  return new ExecServerError("UNSUPPORTED", message, { rpcCode: RpcCode.unsupported });
}

/** How the text begins that says that a sandbox cannot be had; the reference's words. */
const SANDBOX_UNAVAILABLE_TEXT = "sandbox intent cannot be enforced on this executor: ";

/** -32600: a sandbox is asked for that cannot be had here. Nothing was started. */
export function sandboxUnavailable(why: string): ExecServerError {
  return new ExecServerError("SANDBOX_UNAVAILABLE", `${SANDBOX_UNAVAILABLE_TEXT}${why}`, {
    rpcCode: RpcCode.invalidRequest,
  });
}

/** -32603: something failed on the server's side. */
export function internalError(message: string, cause?: unknown): ExecServerError {
  return new ExecServerError("INTERNAL", message, { rpcCode: RpcCode.internal, cause });
}

/** True for an error object that carries a POSIX or Node error code. */
export function hasCode(error: unknown): error is Error & { code: string } {
  return error instanceof Error && "code" in error && typeof error.code === "string";
}

/** What happened, of any thrown value. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/**
 * Any thrown value as an {@link ExecServerError}: errors with a POSIX code (as `node:fs` throws them) keep their
 * name and get the wire's text, everything else becomes `INTERNAL`.
 */
export function toExecServerError(error: unknown): ExecServerError {
  if (error instanceof ExecServerError) return error;
  if (hasCode(error) && /^E[A-Z0-9]+$/.test(error.code)) return osError(error.code, error);
  if (hasCode(error) && error.code === "ERR_INVALID_ARG_VALUE") return osError("EINVAL", error);
  return internalError(messageOf(error), error);
}

/**
 * The JSON-RPC number of an error. `fs/*` tells not-found and invalid input apart; `process/start` reports every
 * operating-system error as -32603.
 */
export function rpcCodeOf(error: ExecServerError, area: "fs" | "other"): number {
  if (error.rpcCode !== undefined) return error.rpcCode;
  if (area !== "fs") return RpcCode.internal;
  switch (error.code) {
    case "ENOENT":
      return RpcCode.notFound;
    case "EACCES":
    case "EPERM":
    case "EINVAL":
      return RpcCode.invalidRequest;
    default:
      return RpcCode.internal;
  }
}

/** The error of a JSON-RPC answer as the caller of a client sees it. */
export function fromWire(rpcCode: number, message: string): ExecServerError {
  const errno = /\(os error (\d+)\)$/.exec(message)?.[1];
  const code = (errno === undefined ? undefined : errnoName(Number(errno))) ??
    nameOfRpcCode(rpcCode, message);
  return new ExecServerError(code, message, { rpcCode });
}

function nameOfRpcCode(rpcCode: number, message: string): ErrorName {
  switch (rpcCode) {
    case RpcCode.invalidRequest:
      if (message.startsWith("unknown session id ")) return "UNKNOWN_SESSION";
      if (message.startsWith(SANDBOX_UNAVAILABLE_TEXT)) return "SANDBOX_UNAVAILABLE";
      if (message.includes("resumed by another connection")) return "SESSION_TAKEN_OVER";
      return "INVALID_REQUEST";
    case RpcCode.methodNotFound:
      return "METHOD_NOT_FOUND";
    case RpcCode.invalidParams:
      return "INVALID_PARAMS";
    case RpcCode.notFound:
      return message.startsWith("unknown file handle ") ? "HANDLE_LOST" : "NOT_FOUND";
    case RpcCode.sessionAttached:
      return "SESSION_ATTACHED";
    case RpcCode.limitReached:
      return "LIMIT_REACHED";
    case RpcCode.unsupported:
      return "UNSUPPORTED";
    default:
      return message.startsWith(AUDIT_FAILED_TEXT) ? "AUDIT_FAILED" : "INTERNAL";
  }
}
