/** An open file for servers without `fs/open`: the whole of it in memory, within the limit of one message. */
import { invalidRequest, osError } from "../protocol/error.ts";
import { MAX_READ_FILE_BYTES } from "../protocol/limits.ts";
import { canBeRead, requireReadLength, requireWritable, requireWriteLength } from "./block.ts";
import type { OpenMode } from "./open_file.ts";
import type { OpenFile } from "./trait.ts";

/** How the whole of it is read and written. */
export interface WholeFile {
  read(): Promise<Uint8Array>;
  write(bytes: Uint8Array): Promise<void>;
}

/** Reads now, or collects what is written and writes it in the end. @throws what reading fails with */
export async function openWhole(file: WholeFile, mode: OpenMode): Promise<OpenFile> {
  let bytes = mode === "read" ? await file.read() : new Uint8Array();
  let length = bytes.length;
  let ended: Promise<void> | undefined;
  const end = (keep: boolean) => ended ??= keep ? file.write(bytes.subarray(0, length)) : Promise.resolve();
  const close = () => end(mode === "replace");
  const read = (offset: number, count: number): Uint8Array => {
    requireReadLength(count);
    if (ended || mode !== "read") throw osError("EBADF");
    return canBeRead(offset, count) ? bytes.slice(offset, offset + count) : new Uint8Array();
  };
  const write = (offset: number, block: Uint8Array): void => {
    requireWriteLength(block.length);
    requireWritable(offset, block.length);
    if (ended || mode === "read") throw osError("EBADF");
    const needed = offset + block.length;
    if (needed > MAX_READ_FILE_BYTES) {
      throw invalidRequest(
        `file is too large: this server takes files of up to ${MAX_READ_FILE_BYTES} bytes only; update it`,
      );
    }
    if (needed > bytes.length) {
      const larger = new Uint8Array(Math.min(Math.max(needed, bytes.length * 2), MAX_READ_FILE_BYTES));
      larger.set(bytes);
      bytes = larger;
    }
    bytes.set(block, offset);
    length = Math.max(length, needed);
  };
  return {
    read: (offset, count) => new Promise((resolve) => resolve(read(offset, count))),
    write: (offset, block) => new Promise((resolve) => resolve(write(offset, block))),
    commit: () => end(mode !== "read"),
    close,
    [Symbol.asyncDispose]: close,
  };
}
