/** What a file is to contain: bytes in memory, or another file that is read piece by piece. */
import { Buffer } from "node:buffer";
import type { FileHandle } from "node:fs/promises";

const CHUNK_BYTES = 1024 * 1024;

/** Something that can be read from any offset, more than once. */
export interface Content {
  /** The bytes from `start` to `end` (exclusive) or to the end, in order. A chunk is valid until the next one is asked for. */
  chunks(start: number, end: number): AsyncIterable<Uint8Array>;
}

/** Bytes in memory. */
export function bytesContent(bytes: Uint8Array): Content {
  return {
    async *chunks(start, end) {
      const stop = Math.min(end, bytes.length);
      for (let at = start; at < stop; at += CHUNK_BYTES) {
        yield bytes.subarray(at, Math.min(at + CHUNK_BYTES, stop));
      }
    },
  };
}

/** An open file, which is read with one buffer, however large the file is. */
export function fileContent(file: FileHandle): Content {
  return {
    async *chunks(start, end) {
      const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
      for (let at = start; at < end;) {
        const { bytesRead } = await file.read(buffer, 0, Math.min(buffer.length, end - at), at);
        if (bytesRead === 0) return;
        yield buffer.subarray(0, bytesRead);
        at += bytesRead;
      }
    },
  };
}

/**
 * Writes the part of a content from `start` to `end` to the same place of a file.
 * @returns the bytes that were written: less than asked for when the content ends before
 */
export async function pour(
  content: Content,
  file: FileHandle,
  range: { readonly start: number; readonly end: number },
  signal?: AbortSignal,
): Promise<number> {
  let at = range.start;
  for await (const chunk of content.chunks(range.start, range.end)) {
    signal?.throwIfAborted();
    for (let done = 0; done < chunk.length;) {
      // The system may take less than it was given, for example just before a disk is full.
      const { bytesWritten } = await file.write(chunk, done, chunk.length - done, at);
      done += bytesWritten;
      at += bytesWritten;
    }
  }
  return at - range.start;
}
