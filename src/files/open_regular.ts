/** Opens regular files only, and never waits for the other end of a FIFO. */
import { constants, type Stats } from "node:fs";
import { type FileHandle, lstat, open, stat } from "node:fs/promises";
import { type ExecServerError, invalidRequest, osError } from "../protocol/error.ts";
import { failedWith } from "./attempt.ts";
import { type NativePath, shownPath } from "./native_path.ts";

/** What to open a file for. */
export interface OpenOptions {
  readonly access: "read" | "write";
  /** False refuses a link. */
  readonly follow: boolean;
}

/**
 * Opens an existing regular file without changing it. The caller closes it.
 * @throws ExecServerError `INVALID_REQUEST` when it is no regular file (for writing: `EISDIR` when it is a directory),
 * `ELOOP` for a link that may not be followed; or the error of `node:fs`
 */
export async function openRegular(path: NativePath, options: OpenOptions): Promise<FileHandle> {
  await lookAt(path, options);
  return await openSeen(path, options);
}

/**
 * What is at a path, when it is a regular file. Files are looked at before they are opened: opening alone can wake a
 * reader of a FIFO, rewind a tape or start a watchdog.
 * @throws as {@link openRegular} does
 */
export async function lookAt(path: NativePath, options: OpenOptions): Promise<Stats> {
  const found = options.follow ? await stat(path) : await lstat(path);
  requireRegular(path, found, options);
  return found;
}

/** Opens what {@link lookAt} has seen. The caller closes it. @throws as {@link openRegular} does */
export async function openSeen(path: NativePath, options: OpenOptions): Promise<FileHandle> {
  const access = options.access === "read" ? constants.O_RDONLY : constants.O_WRONLY;
  const file = await open(path, access | constants.O_NONBLOCK | (options.follow ? 0 : constants.O_NOFOLLOW));
  try {
    requireRegular(path, await file.stat(), options); // it may have been exchanged in between
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}

/**
 * Opens a regular file for writing, and makes one where there is none. Its content stays.
 * @throws as {@link openRegular} does
 */
export async function openOrCreate(path: NativePath, follow: boolean): Promise<FileHandle> {
  try {
    return await openRegular(path, { access: "write", follow });
  } catch (error) {
    if (!failedWith(error, "ENOENT")) throw error;
  }
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_NONBLOCK;
  const file = await open(path, flags | (follow ? 0 : constants.O_NOFOLLOW), 0o666);
  try {
    requireRegular(path, await file.stat(), { access: "write", follow });
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}

function requireRegular(path: NativePath, found: Stats, { access, follow }: OpenOptions): void {
  if (found.isFile()) return;
  if (found.isSymbolicLink()) throw osError("ELOOP");
  if (access === "write" && found.isDirectory()) throw osError("EISDIR");
  throw follow ? notAFile(path) : invalidRequest("path is not a regular file");
}

function notAFile(path: NativePath): ExecServerError {
  return invalidRequest(`path \`${shownPath(path)}\` is not a file`);
}
