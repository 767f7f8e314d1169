/** What a directory holds. */
import type { Dirent } from "node:fs";
import { lstat, readdir } from "node:fs/promises";
import { failedWith } from "./attempt.ts";
import { childPath, type NativePath } from "./native_path.ts";

/** What an entry is by itself, before a link is followed. */
export type EntryKind = "file" | "directory" | "link" | "other";

/** An entry of a directory. */
export interface Entry {
  /** One character for each byte; see `native_path.ts`. */
  readonly rawName: string;
  readonly kind: EntryKind;
}

/**
 * The entries of a directory, in the order of their bytes.
 * @throws the error of `node:fs`
 */
export async function entriesOf(directory: NativePath): Promise<Entry[]> {
  const entries: Entry[] = [];
  // latin1 keeps every byte of a name, where utf8 would make different names equal.
  for (const found of await readdir(directory, { encoding: "latin1", withFileTypes: true })) {
    const kind = kindOf(found) ?? await kindOnDisk(directory, found.name);
    if (kind !== undefined) entries.push({ rawName: found.name, kind });
  }
  return entries.sort((a, b) => a.rawName < b.rawName ? -1 : 1);
}

/** Undefined where the file system, or the runtime, does not tell kinds with the names. */
function kindOf(
  found: Pick<Dirent, "isFile" | "isDirectory" | "isSymbolicLink" | "isFIFO" | "isSocket">,
): EntryKind | undefined {
  if (found.isFile()) return "file";
  if (found.isDirectory()) return "directory";
  if (found.isSymbolicLink()) return "link";
  return found.isFIFO() || found.isSocket() ? "other" : undefined;
}

async function kindOnDisk(directory: NativePath, rawName: string): Promise<EntryKind | undefined> {
  try {
    const found = await lstat(childPath(directory, rawName));
    if (found.isFile()) return "file";
    if (found.isDirectory()) return "directory";
    return found.isSymbolicLink() ? "link" : "other";
  } catch (error) {
    if (failedWith(error, "ENOENT")) return undefined; // removed in the meantime
    throw error;
  }
}
