/** Appending to a file, whole or in part. */
import type { FileHandle } from "node:fs/promises";
import { runtime } from "./detect.ts";

/**
 * Writes bytes from `at` on to the end of a file opened with O_APPEND, and tells how many were written. Deno goes on
 * until all are, and when that fails does not tell how far it came: the file does, as long as nobody else appends.
 * @throws the system's error when nothing was written
 */
export async function appendSome(handle: FileHandle, bytes: Uint8Array, at: number): Promise<number> {
  if (runtime !== "deno") return (await handle.write(bytes, at)).bytesWritten;
  const before = (await handle.stat()).size;
  try {
    return (await handle.write(bytes, at)).bytesWritten;
  } catch (error) {
    const written = (await handle.stat()).size - before;
    if (written > 0 && written < bytes.length - at) return written;
    throw error;
  }
}
