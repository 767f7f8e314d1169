/** How every file operation runs: it can be given up, and it fails with this package's error. */
import { ExecServerError, hasCode, osError, toExecServerError } from "../protocol/error.ts";
import { errnoName } from "../protocol/os_error.ts";

/**
 * Runs an operation. When the signal is aborted the caller gets its reason at once, even if the operating system
 * does not answer (a dead network file system); what has begun may still go on.
 * @throws ExecServerError what the operation failed with; or the signal's reason as it is
 */
export async function attempt<T>(signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
  signal?.throwIfAborted();
  try {
    return await (signal === undefined ? work() : orAborted(signal, work()));
  } catch (error) {
    if (signal?.aborted && error === signal.reason) throw error;
    throw toFileError(error);
  }
}

/** A failure of `node:fs` as an {@link ExecServerError} whose code is the POSIX name. */
export function toFileError(error: unknown): ExecServerError {
  if (!(error instanceof ExecServerError) && error instanceof Error && !hasCode(error)) {
    // Not every runtime gives each error a code; a full disk would become INTERNAL.
    const errno = /\(os error (\d+)\)$/.exec(error.message)?.[1];
    const name = errno === undefined ? undefined : errnoName(Number(errno));
    if (name !== undefined) return osError(name, error);
  }
  return toExecServerError(error);
}

/** True when a failure of `node:fs` has one of these POSIX names. */
export function failedWith(error: unknown, ...codes: string[]): boolean {
  return codes.includes(toFileError(error).code);
}

function orAborted<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}
