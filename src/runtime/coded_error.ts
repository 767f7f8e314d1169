import { constants } from "node:os";

const NAMES = new Map<number, string>();
for (const [name, number] of Object.entries(constants.errno)) {
  if (!NAMES.has(number)) NAMES.set(number, name); // the first of two names: EAGAIN, not EWOULDBLOCK
}

/** An error with a POSIX code, or with `UNSUPPORTED`. */
export function codedError(code: string, message: string): Error {
  return Object.assign(new Error(`${code}: ${message}`), { code });
}

/** No terminal can be had here. */
export function unsupported(reason: string): Error {
  return codedError("UNSUPPORTED", `no terminal: ${reason}`);
}

/** The error for a number as libc returns it. */
export function errnoError(number: number, message: string): Error {
  return codedError(NAMES.get(number) ?? `errno ${number}`, message);
}

/** The `code` of whatever was thrown. */
export function errorCode(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}
