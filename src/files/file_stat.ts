/** Kind, size and times of a path. */
import type { Stats } from "node:fs";
import { lstat, stat } from "node:fs/promises";
import { invalidRequest } from "../protocol/error.ts";
import { withoutLinks } from "./directory_handle.ts";
import type { NativePath } from "./native_path.ts";
import type { FileStat } from "./trait.ts";

/**
 * What a path leads to, and whether it is a link itself.
 * @throws the error of `node:fs`, `ENOENT` for a broken link
 */
export async function statPath(path: NativePath): Promise<FileStat> {
  const [target, itself] = await Promise.all([stat(path), lstat(path)]);
  return describe(target, itself.isSymbolicLink());
}

/**
 * What is at a path that leads through no link.
 * @throws ExecServerError `INVALID_REQUEST` for a link; or the error of `node:fs`, `ENOTDIR` for a link on the way
 */
export async function statWithoutLinks(path: NativePath): Promise<FileStat> {
  const found = path === "/" ? await lstat(path) : await withoutLinks(path, (entry) => lstat(entry));
  if (found.isSymbolicLink()) throw invalidRequest("path contains a symbolic link");
  return describe(found, false);
}

function describe(found: Stats, isSymlink: boolean): FileStat {
  return {
    isFile: found.isFile(),
    isDirectory: found.isDirectory(),
    isSymlink,
    size: found.size,
    createdAtMs: Math.floor(found.birthtimeMs),
    modifiedAtMs: Math.floor(found.mtimeMs),
  };
}
