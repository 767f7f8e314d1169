/** A new content of a file that is written bit by bit, and put in place when it is complete. */
import type { Stats } from "node:fs";
import { type FileHandle, unlink } from "node:fs/promises";
import { fileContent } from "./content.ts";
import type { NativePath } from "./native_path.ts";
import { openRegular } from "./open_regular.ts";
import { overwrite } from "./overwrite.ts";
import {
  createTemporary,
  ignoreMissing,
  keepOwner,
  setMode,
  takeName,
  type Temporary,
} from "./replace_file.ts";
import { resolveLinks } from "./resolve_links.ts";
import type { WatchTemporary } from "./temporary_file.ts";

/** Where a content goes, and the two ways to end it; one of them must be called. */
export interface Replacement {
  readonly file: FileHandle;
  /** Puts it in place. */
  commit(): Promise<void>;
  /** Leaves everything as it was. */
  abandon(): Promise<void>;
}

/**
 * Begins to replace or create a regular file, with the same care as `replaceFile`. A file that can only be overwritten
 * in place is emptied now, and then both ends are the same.
 * @param watch is told of the temporary file
 * @throws ExecServerError as `openRegular` does; or the error of `node:fs`
 */
export async function beginReplacement(
  path: NativePath,
  follow: boolean,
  watch: WatchTemporary | undefined,
): Promise<Replacement> {
  const old = await openRegular(path, { access: "write", follow }).catch(ignoreMissing);
  try {
    const target = follow ? await resolveLinks(path) : path;
    const before = await old?.stat();
    const made = await temporaryFor(target, before, watch);
    if (made) return exchange(made, target, old && before && { file: old, stat: before });
    if (!old) throw new Error("unreachable: what is not there cannot be overwritten");
    await old.truncate(0);
    return { file: old, commit: () => old.close(), abandon: () => old.close() };
  } catch (error) {
    await old?.close();
    throw error;
  }
}

interface Old {
  readonly file: FileHandle;
  readonly stat: Stats;
}

async function temporaryFor(
  target: NativePath,
  before: Stats | undefined,
  watch: WatchTemporary | undefined,
): Promise<Temporary | undefined> {
  if (before && before.nlink !== 1) return undefined;
  const made = await createTemporary(target, before, watch);
  if (!made || !before) return made;
  try {
    if (await keepOwner(made.file, before)) return made;
  } catch (error) {
    await drop(made);
    throw error;
  }
  await drop(made);
  return undefined;
}

function exchange(made: Temporary, target: NativePath, old: Old | undefined): Replacement {
  return {
    file: made.file,
    async commit() {
      try {
        if (old) await setMode(made.file, old.stat.mode); // after the writing, which clears set-user-ID bits
        if (await takeName(made.path, target, old?.stat)) {
          made.settled();
          return await made.file.close();
        }
        if (old) await overwrite(old.file, (await old.file.stat()).size, fileContent(made.file));
        await drop(made);
      } catch (error) {
        await drop(made).catch(() => {}); // the first error is the one to report
        throw error;
      } finally {
        await old?.file.close();
      }
    },
    async abandon() {
      await old?.file.close();
      await drop(made);
    },
  };
}

async function drop({ file, path, settled }: Temporary): Promise<void> {
  try {
    await unlink(path);
    settled();
  } finally {
    await file.close();
  }
}
