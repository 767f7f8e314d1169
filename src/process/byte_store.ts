/**
 * Memory for retained output, in blocks that are used again. Kept as it comes from the runtime, each chunk would be
 * an object of its own that survives just long enough to be collected late: a stream of 1 GiB then took 320 MB of
 * memory, with blocks it takes 110 MB (`exec-server run -- head -c 1G /dev/zero`, VmHWM of the server). Full blocks
 * can be moved to a spill file.
 */
import type { SpillFile } from "./spill_file.ts";

/** Blocks grow up to this size; only those are kept for reuse. A larger piece gets a block of its own. */
export const BLOCK_BYTES = 64 * 1024;
const FIRST_BLOCK_BYTES = 2 * 1024;
const GROWTH = 4;
/** Free blocks kept for all logs together: 4 MiB. */
const MAX_FREE_BLOCKS = 64;

const free: Uint8Array[] = [];

/** A piece that was stored. */
export interface StoredBytes {
  readonly length: number;
  /** True when the bytes stay as they are for whoever keeps them. */
  readonly lasting: boolean;
  /** The bytes, valid until the next call of any store: use them at once, or copy them. */
  read(): Uint8Array;
  /** Adds bytes to the newest piece; false when they do not fit behind it. */
  extend(bytes: Uint8Array): boolean;
  /** Gives the memory back. */
  release(): void;
}

/** Stores pieces in the order they come. */
export interface ByteStore {
  /** Bytes of memory in blocks that hold something. */
  readonly memoryBytes: number;
  /** Copies the bytes. */
  put(bytes: Uint8Array): StoredBytes;
  /** Keeps the bytes themselves: nobody changes them any more. They are not spilled. */
  adopt(bytes: Uint8Array): StoredBytes;
  /** Moves full blocks to disk, newest first, until memory is below `most` bytes or the disk takes no more. */
  spill(file: SpillFile, most: number): void;
}

interface Block {
  memory: Uint8Array | undefined;
  used: number;
  pieces: number;
  spilled: { readonly file: SpillFile; readonly slot: number } | undefined;
}

/** The spilled block that was read last: pieces are read in order, so the next one is mostly in it too. */
let loaded: { readonly block: Block; readonly bytes: Uint8Array } | undefined;

/** An empty store. */
export function createByteStore(): ByteStore {
  const full = new Set<Block>(); // in memory and complete
  let current: Block | undefined;
  let memoryBytes = 0;

  const forget = (block: Block) => {
    full.delete(block);
    if (loaded?.block === block) loaded = undefined;
    block.spilled?.file.release(block.spilled.slot);
    block.spilled = undefined;
    if (!block.memory) return;
    memoryBytes -= block.memory.length;
    recycle(block.memory);
    block.memory = undefined;
  };

  const release = (block: Block) => {
    block.pieces--;
    if (block.pieces > 0) return;
    if (block === current) block.used = 0; // nothing in it any more: begin again
    else forget(block);
  };

  const begin = (needed: number): Block => {
    const before = current;
    const memory = allocate(nextSize(before?.memory?.length, needed));
    memoryBytes += memory.length;
    current = { memory, used: 0, pieces: 0, spilled: undefined };
    if (before && before.pieces > 0) full.add(before);
    else if (before) forget(before);
    return current;
  };

  return {
    get memoryBytes() {
      return memoryBytes;
    },
    put(bytes) {
      const fits = current?.memory && current.used + bytes.length <= current.memory.length;
      const block = fits && current ? current : begin(bytes.length);
      const from = block.used;
      let length = bytes.length;
      block.memory?.set(bytes, from);
      block.used += length;
      block.pieces++;
      return {
        get length() {
          return length;
        },
        lasting: false,
        read: () => bytesOf(block).subarray(from, from + length),
        extend(more) {
          const isNewest = block === current && block.used === from + length;
          if (!isNewest || !block.memory || block.used + more.length > block.memory.length) return false;
          block.memory.set(more, block.used);
          block.used += more.length;
          length += more.length;
          return true;
        },
        release: () => release(block),
      };
    },
    adopt(bytes) {
      memoryBytes += bytes.length;
      return {
        length: bytes.length,
        lasting: true,
        read: () => bytes,
        extend: () => false,
        release: () => void (memoryBytes -= bytes.length),
      };
    },
    spill(file, most) {
      for (const block of [...full].reverse()) {
        if (memoryBytes <= most) return;
        if (!block.memory || block.memory.length > BLOCK_BYTES) continue;
        const slot = file.write(block.memory.subarray(0, block.used));
        if (slot === undefined) return;
        block.spilled = { file, slot };
        full.delete(block);
        memoryBytes -= block.memory.length;
        recycle(block.memory);
        block.memory = undefined;
      }
    },
  };
}

function bytesOf(block: Block): Uint8Array {
  if (block.memory) return block.memory;
  if (loaded?.block === block) return loaded.bytes;
  if (!block.spilled) throw new Error("unreachable: a released piece is not read");
  const bytes = new Uint8Array(block.used);
  block.spilled.file.read(block.spilled.slot, bytes);
  loaded = { block, bytes };
  return bytes;
}

function nextSize(before: number | undefined, needed: number): number {
  let size = before === undefined ? FIRST_BLOCK_BYTES : Math.min(before * GROWTH, BLOCK_BYTES);
  while (size < needed) size *= GROWTH;
  return Math.max(Math.min(size, BLOCK_BYTES), needed);
}

function allocate(size: number): Uint8Array {
  return (size === BLOCK_BYTES ? free.pop() : undefined) ?? new Uint8Array(size);
}

function recycle(memory: Uint8Array): void {
  if (memory.length === BLOCK_BYTES && free.length < MAX_FREE_BLOCKS) free.push(memory);
}
