/** A file for output that has no room in memory: slots of one block each, used again, gone with its owner. */
import {
  closeSync,
  constants,
  ftruncateSync,
  mkdtempSync,
  openSync,
  readSync,
  rmdirSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";

/** Blocks on disk. All calls are synchronous: a block is at most 64 KiB and lands in the page cache. */
export interface SpillFile {
  /** Stores a block; the number to read it back with, or undefined when the disk takes no more (ENOSPC, EDQUOT). */
  write(block: Uint8Array): number | undefined;
  /** Reads the first `into.length` bytes of a block back. @throws the system's error (EIO) */
  read(slot: number, into: Uint8Array): void;
  /** The block is not needed any more. */
  release(slot: number): void;
  /** Closes the file. It has no name, so it is gone. */
  close(): void;
}

/**
 * Opens a file (0600) in a directory of its own (0700) below `folder`, and removes both names at once: a server that
 * is killed leaves nothing behind.
 * @param slotBytes size of the largest block
 * @throws the system's error when the folder cannot be written
 */
export function openSpillFile(folder: string, slotBytes: number): SpillFile {
  const own = mkdtempSync(join(folder, "exec-server-spill-"));
  const path = join(own, "output");
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, 0o600);
    unlinkSync(path);
  } finally {
    rmdirSync(own);
  }
  const free: number[] = [];
  let slots = 0;
  return {
    write(block) {
      const slot = free.pop() ?? slots;
      try {
        for (let done = 0; done < block.length;) {
          done += writeSync(fd, block, done, block.length - done, slot * slotBytes + done);
        }
      } catch {
        if (slot < slots) free.push(slot);
        return undefined;
      }
      slots = Math.max(slots, slot + 1);
      return slot;
    },
    read(slot, into) {
      for (let done = 0; done < into.length;) {
        const count = readSync(fd, into, done, into.length - done, slot * slotBytes + done);
        if (count === 0) throw new Error("the spill file ends too early");
        done += count;
      }
    },
    release(slot) {
      free.push(slot);
      if (free.length < slots) return;
      free.length = slots = 0;
      ftruncateSync(fd, 0);
    },
    close: () => closeSync(fd),
  };
}
