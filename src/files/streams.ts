/** Files of any size as streams, over an open file: a few blocks are on their way at the same time. */
import { attempt } from "./attempt.ts";
import type { FileOptions, FilePath, Files, OpenFile } from "./trait.ts";

/** All that an implementation has to do by itself. */
export type BasicFiles = Omit<Files, "readStream" | "writeStream">;

/** What is asked for at a time. */
const BLOCK_BYTES = 512 * 1024;
/** 4 MiB: enough for a line of 300 Mbit/s with 100 ms, and little enough for both ends. */
const MAX_BLOCKS_IN_FLIGHT = 8;

/** Adds the streams. */
export function withStreams(files: BasicFiles): Files {
  return {
    ...files,
    readStream: (path, options = {}) => readStream(files, path, options),
    writeStream: (path, options = {}) => writeStream(files, path, options),
  };
}

function readStream(files: BasicFiles, path: FilePath, options: FileOptions): ReadableStream<Uint8Array> {
  const { sandbox, signal } = options;
  let opened: Promise<OpenFile> | undefined;
  const ahead: Promise<Uint8Array>[] = [];
  let asked = 0;
  let given = 0;
  const end = () => opened?.then((file) => file.close()).catch(() => {}); // what was read is read
  const read = (file: OpenFile) => {
    // The first block alone: most files are small.
    while (ahead.length < Math.min(given + 1, MAX_BLOCKS_IN_FLIGHT)) {
      const block = file.read(asked++ * BLOCK_BYTES, BLOCK_BYTES);
      block.catch(() => {}); // told when it is its turn
      ahead.push(block);
    }
    return ahead.shift() ?? Promise.reject(new Error("unreachable: one was just asked for"));
  };
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const file = await (opened ??= files.open(path, { sandbox, signal }));
        const bytes = await attempt(signal, () => read(file));
        given++;
        if (bytes.length > 0) controller.enqueue(bytes);
        if (bytes.length === BLOCK_BYTES) return;
        controller.close();
        await end();
      } catch (error) {
        void end();
        throw error;
      }
    },
    cancel: () => end(),
  }, { highWaterMark: 0 });
}

function writeStream(files: BasicFiles, path: FilePath, options: FileOptions): WritableStream<Uint8Array> {
  const { sandbox, signal } = options;
  let opened: Promise<OpenFile> | undefined;
  let block = new Uint8Array(BLOCK_BYTES);
  let filled = 0;
  let offset = 0;
  const inFlight = new Set<Promise<void>>();
  let failure: { readonly error: unknown } | undefined;
  const check = () => {
    signal?.throwIfAborted();
    if (failure) throw failure.error;
  };
  const send = async () => {
    const file = await (opened ??= files.open(path, { mode: "replaceOnCommit", sandbox, signal }));
    while (inFlight.size >= MAX_BLOCKS_IN_FLIGHT) await attempt(signal, () => Promise.race(inFlight));
    check();
    const one: Promise<void> = file.write(offset, block.subarray(0, filled)).catch((error: unknown) => {
      failure ??= { error };
    }).finally(() => inFlight.delete(one));
    inFlight.add(one);
    offset += filled;
    block = new Uint8Array(BLOCK_BYTES);
    filled = 0;
  };
  const end = () => opened?.then((file) => file.close()).catch(() => {}); // there is an error to tell already
  /** The stream tells its sink nothing more after an error. */
  const orEnd = async (work: () => Promise<void>) => {
    try {
      check();
      await work();
    } catch (error) {
      void end();
      throw error;
    }
  };
  return new WritableStream<Uint8Array>({
    write: (chunk) =>
      orEnd(async () => {
        for (let taken = 0; taken < chunk.length;) {
          if (filled === BLOCK_BYTES) await send();
          const piece = chunk.subarray(taken, taken + BLOCK_BYTES - filled);
          block.set(piece, filled);
          filled += piece.length;
          taken += piece.length;
        }
      }),
    close: () =>
      orEnd(async () => {
        if (!opened) return await files.write(path, block.subarray(0, filled), { sandbox, signal });
        if (filled > 0) await send();
        const file = await opened;
        await attempt(signal, () => Promise.all(inFlight));
        check();
        await file.commit();
      }),
    abort: () => end(),
  });
}
