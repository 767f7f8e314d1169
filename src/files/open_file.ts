/** Open files of this machine. */
import type { FileHandle } from "node:fs/promises";
import { osError } from "../protocol/error.ts";
import { deferred } from "../runtime/deferred.ts";
import { attempt } from "./attempt.ts";
import { canBeRead, requireReadLength, requireWritable, requireWriteLength } from "./block.ts";
import { withoutLinks } from "./directory_handle.ts";
import type { NativePath } from "./native_path.ts";
import { openOrCreate, openRegular } from "./open_regular.ts";
import { beginReplacement, type Replacement } from "./replacement.ts";
import type { WatchTemporary } from "./temporary_file.ts";
import type { FileOpenOptions, OpenFile } from "./trait.ts";

/** What a file is opened for. */
export type OpenMode = NonNullable<FileOpenOptions["mode"]>;

/**
 * Opens a regular file of this machine.
 * @param follow false refuses a path that is or leads through a link
 * @param watch is told of temporary files
 * @throws ExecServerError as `openRegular` does; or the error of `node:fs`
 */
export async function openFile(
  path: NativePath,
  mode: OpenMode,
  follow: boolean,
  watch?: WatchTemporary,
): Promise<OpenFile> {
  if (follow) return openFileOf(await begin(path, mode, true, watch), mode);
  if (mode !== "replaceOnCommit") {
    return await withoutLinks(
      path,
      async (entry) => openFileOf(await begin(entry, mode, false, watch), mode),
    );
  }
  // Its folder has to be held until the new file has taken the name.
  const opened = deferred<OpenFile>();
  const over = deferred<void>();
  withoutLinks(path, async (entry) => {
    const { file, commit, abandon } = await begin(entry, mode, false, watch);
    const end = (how: () => Promise<void>) => () => how().finally(() => over.resolve());
    opened.resolve(openFileOf({ file, commit: end(commit), abandon: end(abandon) }, mode));
    await over.promise;
  }).catch(opened.reject);
  return await opened.promise;
}

/**
 * Opens, unless the caller gives up: then what is opened all the same is closed again.
 * @throws as `attempt` does
 */
export async function opening(
  signal: AbortSignal | undefined,
  work: () => Promise<OpenFile>,
): Promise<OpenFile> {
  let opened: Promise<OpenFile> | undefined;
  try {
    return await attempt(signal, () => opened = work());
  } catch (error) {
    opened?.then((file) => file.close()).catch(() => {}); // nobody is there to be told
    throw error;
  }
}

/** The same file, and what is to be done when it is closed. @param over may be called more than once */
export function withEnd(file: OpenFile, over: () => void): OpenFile {
  const close = () => file.close().finally(over);
  return { ...file, commit: () => file.commit().finally(over), close, [Symbol.asyncDispose]: close };
}

async function begin(
  path: NativePath,
  mode: OpenMode,
  follow: boolean,
  watch: WatchTemporary | undefined,
): Promise<Replacement> {
  switch (mode) {
    case "read":
      return inPlace(await openRegular(path, { access: "read", follow }));
    case "replace": {
      const file = await openOrCreate(path, follow);
      try {
        await file.truncate(0);
        return inPlace(file);
      } catch (error) {
        await file.close();
        throw error;
      }
    }
    case "replaceOnCommit":
      return await beginReplacement(path, follow, watch);
  }
}

function inPlace(file: FileHandle): Replacement {
  return { file, commit: () => file.close(), abandon: () => file.close() };
}

function openFileOf({ file, commit, abandon }: Replacement, mode: OpenMode): OpenFile {
  const running = new Set<Promise<unknown>>();
  let ended: Promise<void> | undefined;
  const run = async <T>(work: () => Promise<T>): Promise<T> => {
    if (ended) throw osError("EBADF");
    const one = attempt(undefined, work);
    running.add(one);
    try {
      return await one;
    } finally {
      running.delete(one);
    }
  };
  const end = (how: () => Promise<void>) =>
    ended ??= attempt(undefined, async () => {
      await Promise.allSettled(running);
      await how();
    });
  return {
    read: (offset, length) =>
      run(async () => {
        requireReadLength(length);
        if (mode !== "read") throw osError("EBADF");
        return canBeRead(offset, length) ? await readBlock(file, offset, length) : new Uint8Array();
      }),
    write: (offset, bytes) =>
      run(async () => {
        requireWriteLength(bytes.length);
        requireWritable(offset, bytes.length);
        if (mode === "read") throw osError("EBADF");
        for (let done = 0; done < bytes.length;) {
          done += (await file.write(bytes, done, bytes.length - done, offset + done)).bytesWritten;
        }
      }),
    commit: () => end(commit),
    close: () => end(abandon),
    [Symbol.asyncDispose]: () => end(abandon),
  };
}

/** Reads on until the block is full: some files, as those of /proc, give less at a time. */
async function readBlock(file: FileHandle, offset: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  for (let done = 0; done < length;) {
    const { bytesRead } = await file.read(bytes, done, length - done, offset + done);
    if (bytesRead === 0) return bytes.slice(0, done);
    done += bytesRead;
  }
  return bytes;
}
