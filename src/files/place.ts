/**
 * Where an open file or directory really is. A path can lead somewhere else from one moment to the next; what is open
 * stays the same, and the kernel knows its name. So a rule about names is asked after the opening, not before.
 */
import { lstat, readlink, stat } from "node:fs/promises";
import { osError } from "../protocol/error.ts";
import { openDirectory } from "./directory_handle.ts";
import { childPath, nativeOf, type NativePath, parentPath, toRaw } from "./native_path.ts";
import { resolveLinks } from "./resolve_links.ts";

/** Says whether something may be done at a real path. @throws ExecServerError when it may not */
export type Judge = (place: NativePath, wanted: "read" | "write") => void;

/**
 * Where something is now, without links.
 * @param held its path in /proc/self/fd
 * @throws ExecServerError `ENOENT` when it has no name any more, or something else has it; or the error of `node:fs`
 */
export async function placeOf(held: NativePath): Promise<NativePath> {
  const place = nativeOf(await readlink(held, { encoding: "buffer" }));
  // What was removed is called `name (deleted)`: a pattern would not match.
  const [open, named] = await Promise.all([stat(held, { bigint: true }), lstat(place, { bigint: true })]);
  if (open.dev !== named.dev || open.ino !== named.ino) throw osError("ENOENT");
  return place;
}

/**
 * Runs an operation where a write to `path` arrives: behind links, if that may be written.
 * @param work gets a path in an open directory; what is put at its end later must not be followed
 */
export async function atDestination<T>(
  path: NativePath,
  judge: Judge,
  work: (entry: NativePath) => Promise<T>,
): Promise<T> {
  const end = await resolveLinks(path);
  const name = toRaw(end).slice(toRaw(end).lastIndexOf("/") + 1);
  const directory = await openDirectory(parentPath(end), true);
  try {
    judge(childPath(await placeOf(directory.path), name), "write");
    return await work(childPath(directory.path, name));
  } finally {
    await directory.close();
  }
}

/**
 * Runs an operation on a directory that is held open and may be read where it is.
 * @param follow false refuses a link (`ENOTDIR`)
 * @param work gets a path of the open directory, and its place
 */
export async function inPlace<T>(
  path: NativePath,
  { judge, follow }: { readonly judge: Judge; readonly follow: boolean },
  work: (held: NativePath, place: NativePath) => Promise<T>,
): Promise<T> {
  const directory = await openDirectory(path, follow);
  try {
    const place = await placeOf(directory.path);
    judge(place, "read");
    return await work(directory.path, place);
  } finally {
    await directory.close();
  }
}
