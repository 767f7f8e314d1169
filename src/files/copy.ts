/** Copies files, links and trees. */
import type { BigIntStats } from "node:fs";
import { chmod, type FileHandle, lstat, readlink, realpath, stat, symlink } from "node:fs/promises";
import { invalidRequest } from "../protocol/error.ts";
import { failedWith } from "./attempt.ts";
import { fileContent } from "./content.ts";
import { descriptorPath } from "./directory_handle.ts";
import { entriesOf } from "./entries.ts";
import { makeDirectories } from "./make_directory.ts";
import { childPath, nativeOf, type NativePath, parentPath } from "./native_path.ts";
import { openRegular } from "./open_regular.ts";
import { atDestination, inPlace, type Judge, placeOf } from "./place.ts";
import { replaceFile } from "./replace_file.ts";
import type { WatchTemporary } from "./temporary_file.ts";

const PERMISSIONS = 0o7777;

/** How to copy. */
export interface CopyOptions {
  /** Directories are copied with what is in them. */
  readonly recursive: boolean;
  readonly signal?: AbortSignal | undefined;
  /** Asked about each entry and where it goes, when that is open: links on the way lead nowhere else. Default: nobody. */
  readonly judge?: Judge | undefined;
  /** As of `replaceFile`. */
  readonly watch?: WatchTemporary | undefined;
}

/** How often a file is opened again that was exchanged meanwhile, as editors do it. */
const MAX_ATTEMPTS = 8;

/**
 * Copies a file with its mode, a link as a link, or a tree into place. An existing file is replaced as `replaceFile`
 * does it; a tree is merged into an existing directory, and what is neither file, directory nor link in it is left out.
 * @throws ExecServerError `INVALID_REQUEST` for a copy onto itself or into itself, for a directory without
 * `recursive`, and for what is neither file, directory nor link; or the error of `node:fs`
 */
export async function copyPath(from: NativePath, to: NativePath, options: CopyOptions): Promise<void> {
  const source = await lstat(from, { bigint: true });
  if (source.isDirectory()) {
    if (!options.recursive) {
      throw invalidRequest("fs/copy requires recursive: true when sourcePath is a directory");
    }
    if (await isSameOrBelow(to, source)) {
      throw invalidRequest("fs/copy cannot copy a directory to itself or one of its descendants");
    }
    await copyTree(from, to, options);
  } else if (source.isSymbolicLink()) await copyLink(from, to);
  else if (source.isFile()) await copyFile(from, to, options);
  else throw invalidRequest("fs/copy only supports regular files, directories, and symlinks");
}

async function copyFile(from: NativePath, to: NativePath, options: CopyOptions): Promise<void> {
  const { judge } = options;
  const source = await openSource(from, judge);
  try {
    if (!judge) return await writeCopy(source, to, true, options);
    await atDestination(to, judge, (entry) => writeCopy(source, entry, false, options));
  } finally {
    await source.close();
  }
}

async function writeCopy(
  source: FileHandle,
  to: NativePath,
  follow: boolean,
  { signal, watch }: CopyOptions,
): Promise<void> {
  const { dev, ino, mode } = await source.stat({ bigint: true });
  const present = await existing(to);
  // Also through links and hard links: opening the destination would empty the source.
  if (present?.dev === dev && present.ino === ino) {
    throw invalidRequest("fs/copy cannot copy a file to itself");
  }
  await replaceFile(to, fileContent(source), { signal, watch, follow, mode: Number(mode) & PERMISSIONS });
}

async function copyLink(from: NativePath, to: NativePath): Promise<void> {
  const target = await readlink(from, { encoding: "buffer" });
  await symlink(nativeOf(target), to);
}

async function openSource(path: NativePath, judge: Judge | undefined): Promise<FileHandle> {
  for (let tries = 1;; tries++) {
    const file = await openRegular(path, { access: "read", follow: false });
    try {
      judge?.(await placeOf(descriptorPath(file)), "read");
      return file;
    } catch (error) {
      await file.close();
      if (!failedWith(error, "ENOENT") || tries === MAX_ATTEMPTS) throw error;
    }
  }
}

/** A directory, and where it really is. Without a judge nobody asks, and it is the path that was given. */
interface Directory {
  readonly path: NativePath;
  readonly place: NativePath;
}

async function inDirectory(
  path: NativePath,
  { judge, follow }: { readonly judge: Judge | undefined; readonly follow: boolean },
  work: (directory: Directory) => Promise<void>,
): Promise<void> {
  if (!judge) return await work({ path, place: path });
  await inPlace(path, { judge, follow }, (held, place) => work({ path: held, place }));
}

async function copyTree(from: NativePath, to: NativePath, options: CopyOptions): Promise<void> {
  const { judge } = options;
  await inDirectory(from, { judge, follow: false }, async (source) => {
    const mode = (await stat(source.path)).mode & PERMISSIONS;
    // The owner may enter until everything is in place; nobody may who may not enter the source.
    const made = await makeDirectories(to, mode | 0o700);
    await inDirectory(to, { judge, follow: true }, async (target) => {
      await copyEntries(source, target, options);
      if (made && ((await stat(target.path)).mode & PERMISSIONS) !== mode) await chmod(target.path, mode);
    });
  });
}

async function copyEntries(source: Directory, target: Directory, options: CopyOptions): Promise<void> {
  const { judge, signal } = options;
  for (const { rawName, kind } of await entriesOf(source.path)) {
    signal?.throwIfAborted();
    const from = childPath(source.path, rawName);
    const to = childPath(target.path, rawName);
    if (kind === "directory") {
      judge?.(childPath(target.place, rawName), "read");
      await copyTree(from, to, options);
    } else if (kind === "link") {
      judge?.(childPath(source.place, rawName), "read");
      judge?.(childPath(target.place, rawName), "write");
      await copyLink(from, to);
    } else if (kind === "file") await copyFile(from, to, options);
  }
}

/** Compares files, not paths: a bind mount has the same directory under another path. */
async function isSameOrBelow(path: NativePath, directory: BigIntStats): Promise<boolean> {
  let nearest = path;
  while (await existing(nearest) === undefined && nearest !== "/") nearest = parentPath(nearest);
  for (let at = nativeOf(await realpath(nearest, { encoding: "buffer" }));; at = parentPath(at)) {
    const { dev, ino } = await stat(at, { bigint: true });
    if (dev === directory.dev && ino === directory.ino) return true;
    if (at === "/") return false;
  }
}

async function existing(path: NativePath): Promise<BigIntStats | undefined> {
  try {
    return await stat(path, { bigint: true });
  } catch (error) {
    if (failedWith(error, "ENOENT")) return undefined;
    throw error;
  }
}
