/**
 * Memory for retained output, in blocks that are used again. Kept as it comes from the runtime, each chunk would be
 * an object of its own that survives just long enough to be collected late: a stream of 1 GiB then took 320 MB of
 * memory, with blocks it takes 100 MB (`exec-server run -- head -c 1G /dev/zero`, VmHWM of the server).
 */

/** Blocks grow up to this size; only those are kept for reuse. A larger piece gets a block of its own. */
export const BLOCK_BYTES = 64 * 1024;
const FIRST_BLOCK_BYTES = 2 * 1024;
const GROWTH = 4;
/** Free blocks kept for all logs together: 4 MiB. */
const MAX_FREE_BLOCKS = 64;

const free: Uint8Array[] = [];

/** A piece that was stored. */
export interface StoredBytes {
  /** Valid until the piece is released: read it at once, or copy it. */
  readonly bytes: Uint8Array;
  /** Gives the memory back. Pieces are released in the order they were stored. */
  release(): void;
}

/** Stores pieces in the order they come. */
export interface ByteStore {
  /** Copies the bytes. */
  put(bytes: Uint8Array): StoredBytes;
}

interface Block {
  readonly memory: Uint8Array;
  used: number;
  pieces: number;
}

/** An empty store. */
export function createByteStore(): ByteStore {
  let current: Block | undefined;
  const release = (block: Block) => {
    block.pieces--;
    if (block.pieces > 0) return;
    if (block === current) block.used = 0; // nothing in it any more: begin again
    else if (block.memory.length === BLOCK_BYTES && free.length < MAX_FREE_BLOCKS) free.push(block.memory);
  };
  return {
    put(bytes) {
      if (!current || current.used + bytes.length > current.memory.length) {
        const full = current;
        current = { memory: allocate(nextSize(current, bytes.length)), used: 0, pieces: 0 };
        if (full?.pieces === 0 && full.memory.length === BLOCK_BYTES && free.length < MAX_FREE_BLOCKS) {
          free.push(full.memory);
        }
      }
      const block = current;
      const stored = block.memory.subarray(block.used, block.used + bytes.length);
      stored.set(bytes);
      block.used += bytes.length;
      block.pieces++;
      return { bytes: stored, release: () => release(block) };
    },
  };
}

function nextSize(before: Block | undefined, needed: number): number {
  let size = before ? Math.min(before.memory.length * GROWTH, BLOCK_BYTES) : FIRST_BLOCK_BYTES;
  while (size < needed) size *= GROWTH;
  return Math.max(Math.min(size, BLOCK_BYTES), needed);
}

function allocate(size: number): Uint8Array {
  return (size === BLOCK_BYTES ? free.pop() : undefined) ?? new Uint8Array(size);
}
