/** Removes files and trees. */
import { lstat, rmdir, unlink } from "node:fs/promises";
import { internalError, invalidRequest } from "../protocol/error.ts";
import { failedWith } from "./attempt.ts";
import { openDirectory, withoutLinks } from "./directory_handle.ts";
import { entriesOf } from "./entries.ts";
import { inBatches } from "./in_batches.ts";
import { childPath, type NativePath } from "./native_path.ts";

/** What to remove, and what is no failure. */
export interface RemoveOptions {
  /** What is below a directory, too. */
  readonly recursive: boolean;
  /** A missing path is fine. */
  readonly force: boolean;
  /** False refuses a link and a path that leads through one. */
  readonly follow: boolean;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Removes a path. A link is removed itself, never what it leads to.
 * @throws ExecServerError `INVALID_REQUEST` for `/`; or the error of `node:fs`
 */
export async function removePath(path: NativePath, options: RemoveOptions): Promise<void> {
  // `file://` is the root, too, and the wire removes whole trees by default: a forgotten path would cost a machine.
  if (path === "/") throw invalidRequest("the root directory cannot be removed");
  if (!options.follow && options.recursive) throw internalError("recursive no-follow removal is unsupported");
  const work = options.follow
    ? removeEntry(path, options)
    : withoutLinks(path, (entry) => removeEntry(entry, options));
  await work.catch((error: unknown) => {
    if (!options.force || !failedWith(error, "ENOENT")) throw error;
  });
}

async function removeEntry(path: NativePath, { recursive, follow, signal }: RemoveOptions): Promise<void> {
  const found = await lstat(path);
  if (found.isSymbolicLink() && !follow) throw invalidRequest("path contains a symbolic link");
  if (!found.isDirectory()) await unlink(path);
  else if (recursive) await removeTree(path, signal);
  else await rmdir(path);
}

/**
 * Empties a directory through its open handle: a directory that is exchanged for a link while its tree is being
 * removed does not lead out of the tree.
 */
async function removeTree(path: NativePath, signal: AbortSignal | undefined): Promise<void> {
  const directory = await openDirectory(path);
  try {
    const entries = await entriesOf(directory.path);
    const others = entries.filter(({ kind }) => kind !== "directory");
    await inBatches(others, ({ rawName }) => gone(unlink(childPath(directory.path, rawName))), signal);
    for (const { rawName, kind } of entries) {
      signal?.throwIfAborted();
      if (kind === "directory") await gone(removeTree(childPath(directory.path, rawName), signal));
    }
  } finally {
    await directory.close();
  }
  await rmdir(path);
}

/** That somebody else was faster is no failure inside a tree. */
async function gone(removal: Promise<void>): Promise<void> {
  await removal.catch((error: unknown) => {
    if (!failedWith(error, "ENOENT")) throw error;
  });
}
