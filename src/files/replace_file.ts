/** Gives a path a new content, all or nothing where that is possible. */
import { constants, type Stats } from "node:fs";
import { type FileHandle, open, rename, unlink } from "node:fs/promises";
import { failedWith } from "./attempt.ts";
import { type Content, pour } from "./content.ts";
import { childPath, type NativePath, parentPath } from "./native_path.ts";
import { openRegular } from "./open_regular.ts";
import { overwrite } from "./overwrite.ts";
import { resolveLinks } from "./resolve_links.ts";
import { temporaryName, type WatchTemporary } from "./temporary_file.ts";

/** How to replace. */
export interface ReplaceOptions {
  /** False refuses a path that is a link. */
  readonly follow: boolean;
  /** Permission bits of the result; by default those of the file that was there, or 0666 less the umask. */
  readonly mode?: number;
  readonly signal?: AbortSignal | undefined;
  /** For who removes temporary files when this process is killed. */
  readonly watch?: WatchTemporary | undefined;
}

const NEW_FILE = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
const EVERYTHING = { start: 0, end: Infinity };
const PERMISSIONS = 0o7777;

/**
 * Replaces or creates a regular file. The content is written to a temporary file in the same directory, which then
 * takes the name; a failure leaves the old file as it was. Links stay links. There is no fsync: after a power failure
 * the file system decides.
 *
 * An existing file is overwritten in place instead, and a reader may then see a part, where an exchange would lose
 * something: it has other hard links (which would keep the old content), its owner could not be kept, its directory
 * takes no new entry or does not let it go (read-only, sticky, a mount point such as a container's /etc/hosts, /proc).
 * @throws ExecServerError as `openRegular` does; or the error of `node:fs`
 */
export async function replaceFile(
  path: NativePath,
  content: Content,
  options: ReplaceOptions,
): Promise<void> {
  // Opened for writing though its content is not touched: a rename alone would ignore the file's own permissions.
  const old = await openRegular(path, { access: "write", follow: options.follow }).catch(ignoreMissing);
  const target = options.follow ? await resolveLinks(path) : path;
  if (old === undefined) {
    await exchange(target, content, options, undefined);
    return;
  }
  try {
    const before = await old.stat();
    if (before.nlink === 1 && await exchange(target, content, options, before)) return;
    options.signal?.throwIfAborted(); // from here on the file is only whole when this comes to its end
    if (options.mode !== undefined) await setMode(old, options.mode);
    await overwrite(old, before.size, content);
  } finally {
    await old.close();
  }
}

/** @returns false when nothing has happened, because this file can only be overwritten in place */
async function exchange(
  target: NativePath,
  content: Content,
  options: ReplaceOptions,
  before: Stats | undefined,
): Promise<boolean> {
  const made = await createTemporary(target, before, options.watch);
  if (made === undefined) return false;
  const { file, path: temporary, settled } = made;
  try {
    const exchanged = await fill(file, content, options, before) && await takeName(temporary, target, before);
    if (!exchanged) await unlink(temporary);
    return exchanged;
  } catch (error) {
    await unlink(temporary).catch(() => {}); // the first error is the one to report
    throw error;
  } finally {
    settled();
  }
}

/** A file that is to take a name. */
export interface Temporary {
  readonly file: FileHandle;
  readonly path: NativePath;
  /** To be called when it has taken its name, or is gone. */
  settled(): void;
}

/**
 * Makes an empty file beside another one.
 * @param before what is at `target` now; undefined: nothing
 * @param watch is told of it
 * @returns undefined when what is there can only be overwritten in place
 */
export async function createTemporary(
  target: NativePath,
  before: Stats | undefined,
  watch: WatchTemporary | undefined,
): Promise<Temporary | undefined> {
  const path = childPath(parentPath(target), temporaryName());
  const settled = watch?.(path) ?? (() => {});
  try {
    // For an existing file nobody else may read the new content before it has the old file's owner and mode.
    const creating = open(path, NEW_FILE, before === undefined ? 0o666 : 0o600);
    const file = await (before === undefined ? creating : creating.catch(ignoreRefusal));
    if (file) return { file, path, settled };
    settled();
    return undefined;
  } catch (error) {
    settled();
    throw error;
  }
}

/** @returns false when the owner cannot be kept */
async function fill(
  file: FileHandle,
  content: Content,
  { mode, signal }: ReplaceOptions,
  before: Stats | undefined,
): Promise<boolean> {
  try {
    if (before !== undefined && !await keepOwner(file, before)) return false;
    await pour(content, file, EVERYTHING, signal);
    // After the content: changing the owner and writing both clear set-user-ID bits.
    const wanted = mode ?? before?.mode;
    if (wanted !== undefined) await setMode(file, wanted);
    return true;
  } finally {
    await file.close();
  }
}

/** Gives a file the owner of another one. @returns false when that is refused */
export async function keepOwner(file: FileHandle, { uid, gid }: Stats): Promise<boolean> {
  const now = await file.stat();
  if (now.uid === uid && now.gid === gid) return true;
  return await file.chown(uid, gid).then(() => true, ignoreRefusal) ?? false;
}

/** Sets the permission bits of an open file. */
export async function setMode(file: FileHandle, mode: number): Promise<void> {
  // Some file systems refuse any chmod; those that already have the right mode need none.
  if (((await file.stat()).mode & PERMISSIONS) !== (mode & PERMISSIONS)) await file.chmod(mode & PERMISSIONS);
}

/** Renames. @returns false when that is refused, and the file there can only be overwritten in place */
export async function takeName(
  temporary: NativePath,
  target: NativePath,
  before: Stats | undefined,
): Promise<boolean> {
  const renaming = rename(temporary, target).then(() => true);
  return await (before === undefined ? renaming : renaming.catch(ignoreRefusal)) ?? false;
}

/** What says "not this way" about a file that may be written to; ENOENT is /proc's answer to a new entry. */
function ignoreRefusal(error: unknown): undefined {
  if (!failedWith(error, "EACCES", "EPERM", "EROFS", "EBUSY", "EXDEV", "EINVAL", "ENOENT")) throw error;
}

/** Passes every error on but ENOENT. */
export function ignoreMissing(error: unknown): undefined {
  if (!failedWith(error, "ENOENT")) throw error;
}
