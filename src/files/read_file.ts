/** Reads a whole file into memory, within the limit of one message. */
import { Buffer } from "node:buffer";
import type { FileHandle } from "node:fs/promises";
import { type ExecServerError, invalidRequest } from "../protocol/error.ts";
import { MAX_READ_FILE_BYTES } from "../protocol/limits.ts";
import type { NativePath } from "./native_path.ts";
import { lookAt, openSeen } from "./open_regular.ts";
import { readSmall } from "./small_file.ts";

/** First buffer for files that do not tell their size, such as those of /proc. */
const SMALL_BYTES = 64 * 1024;

/**
 * The content of a regular file.
 * @throws ExecServerError `INVALID_REQUEST` above 45 MiB and as `openRegular` does; or the error of `node:fs`
 */
export async function readWhole(
  path: NativePath,
  follow: boolean,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  const options = { access: "read", follow } as const;
  const small = await readSmall(path, follow, await lookAt(path, options));
  if (small) return small;
  const file = await openSeen(path, options);
  try {
    return await readToEnd(file, (await file.stat()).size, signal);
  } finally {
    await file.close();
  }
}

/** Reads to the real end: the size is only a guess, for a file of /proc and for one that is being written to. */
async function readToEnd(
  file: FileHandle,
  size: number,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  if (size > MAX_READ_FILE_BYTES) throw tooLarge();
  let buffer = Buffer.allocUnsafeSlow(Math.max(size + 1, SMALL_BYTES));
  let length = 0;
  for (;;) {
    signal?.throwIfAborted();
    const { bytesRead } = await file.read(buffer, length, buffer.length - length, length);
    if (bytesRead === 0) return new Uint8Array(buffer.buffer, buffer.byteOffset, length);
    length += bytesRead;
    // A file that grows while it is read must not grow the memory without end.
    if (length > MAX_READ_FILE_BYTES) throw tooLarge();
    if (length === buffer.length) {
      const larger = Buffer.allocUnsafeSlow(Math.min(length * 2, MAX_READ_FILE_BYTES + 1));
      buffer.copy(larger);
      buffer = larger;
    }
  }
}

function tooLarge(): ExecServerError {
  return invalidRequest(
    `file is too large to read: limit is ${MAX_READ_FILE_BYTES} bytes; read it in blocks with fs/open and fs/readBlock`,
  );
}
