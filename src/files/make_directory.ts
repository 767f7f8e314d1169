/** Makes directories. */
import { mkdir, stat } from "node:fs/promises";
import { internalError } from "../protocol/error.ts";
import { failedWith } from "./attempt.ts";
import { type DirectoryHandle, enter, openDirectory, withoutLinks } from "./directory_handle.ts";
import { childPath, type NativePath, parentPath, toRaw } from "./native_path.ts";

/**
 * Makes a directory and, where needed, its parents; an existing one is fine.
 * @returns true when the directory itself was made
 * @throws ExecServerError `EEXIST` when something else is there; or the error of `node:fs`
 */
export async function makeDirectories(path: NativePath, mode = 0o777): Promise<boolean> {
  try {
    return await makeDirectory(path, mode);
  } catch (error) {
    if (!failedWith(error, "ENOENT") || path === "/") throw error;
  }
  await makeDirectories(parentPath(path));
  return await makeDirectory(path, mode);
}

/**
 * Makes a directory on a path that leads through no link.
 * @throws ExecServerError or the error of `node:fs`: `ENOTDIR` when a part of the path is a link or a file
 */
export async function makeDirectoryWithoutLinks(path: NativePath, recursive: boolean): Promise<void> {
  const names = toRaw(path).split("/").filter((name) => name !== "");
  if (!recursive) {
    if (names.length === 0) throw internalError("directory already exists");
    return await withoutLinks(path, (entry) => mkdir(entry));
  }
  let directory = await openDirectory("/");
  try {
    for (const name of names) directory = await enterOrMake(directory, childPath(directory.path, name));
  } finally {
    await directory.close();
  }
}

async function enterOrMake(from: DirectoryHandle, path: NativePath): Promise<DirectoryHandle> {
  try {
    return await enter(from, path);
  } catch (error) {
    if (!failedWith(error, "ENOENT")) throw error;
  }
  await mkdir(path).catch((error: unknown) => {
    if (!failedWith(error, "EEXIST")) throw error; // another process was faster
  });
  return await enter(from, path);
}

async function makeDirectory(path: NativePath, mode: number): Promise<boolean> {
  try {
    await mkdir(path, { mode });
    return true;
  } catch (error) {
    // Whatever the reason: another process may have made it, or a read-only file system answers before it looks.
    if ((await stat(path).catch(() => undefined))?.isDirectory()) return false;
    throw error;
  }
}
