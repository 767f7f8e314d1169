/** A directory that is held open, so that nobody can put a link in its place while its entries are being used. */
import { constants } from "node:fs";
import { type FileHandle, open, stat } from "node:fs/promises";
import process from "node:process";
import { childPath, type NativePath, toRaw } from "./native_path.ts";
import { invalidRequest } from "../protocol/error.ts";

/** O_PATH (open(2)): a directory that may be searched but not read can be opened. Not in `node:fs`. */
const O_PATH = process.platform === "linux" ? 0o10000000 : 0;
const FLAGS = constants.O_RDONLY | O_PATH | constants.O_DIRECTORY;

/** An open directory. */
export interface DirectoryHandle {
  /** Names the open directory for as long as it is open, whatever happens to the path it was opened by. */
  readonly path: NativePath;
  close(): Promise<void>;
}

/**
 * Opens a directory that is not a link, unless links are to be followed. Where the host has no /proc the handle's path is the one it was opened by:
 * a link that is put in its place later is then followed.
 * @throws the error of `node:fs`: `ENOTDIR` for a link and for anything else that is no directory
 */
export async function openDirectory(path: NativePath, follow = false): Promise<DirectoryHandle> {
  const handle = await open(path, FLAGS | (follow ? 0 : constants.O_NOFOLLOW));
  return {
    path: await hasDescriptorPaths(handle) ? descriptorPath(handle) : path,
    close: () => handle.close(),
  };
}

/**
 * Runs an operation on an entry whose path leads through no link: each directory on the way is opened from the one
 * before, so that there is no moment between the check and the use. The entry itself may still be a link.
 * @throws the error of `node:fs`: `ENOTDIR` when a part of the way is a link; ExecServerError `INVALID_REQUEST` for `/`
 */
export async function withoutLinks<T>(path: NativePath, work: (entry: NativePath) => Promise<T>): Promise<T> {
  const names = toRaw(path).split("/").filter((name) => name !== "");
  const leaf = names.pop();
  if (leaf === undefined) throw invalidRequest("path must name an entry");
  let directory = await openDirectory("/");
  try {
    for (const name of names) directory = await enter(directory, childPath(directory.path, name));
    return await work(childPath(directory.path, leaf));
  } finally {
    await directory.close();
  }
}

/** Opens the next directory and closes the one that led to it. */
export async function enter(from: DirectoryHandle, path: NativePath): Promise<DirectoryHandle> {
  const next = await openDirectory(path);
  await from.close();
  return next;
}

/** Names an open file or directory for as long as it is open. */
export function descriptorPath(handle: FileHandle): string {
  return `/proc/self/fd/${handle.fd}`;
}

let known: boolean | undefined;

/** Whether /proc is there and `handle.fd` is the kernel's number: a runtime may number its handles differently. */
async function hasDescriptorPaths(handle: FileHandle): Promise<boolean> {
  if (known === undefined) {
    const there = await stat(descriptorPath(handle), { bigint: true }).catch(() => undefined);
    const here = await handle.stat({ bigint: true });
    known = there !== undefined && there.ino === here.ino && there.dev === here.dev;
  }
  return known;
}
