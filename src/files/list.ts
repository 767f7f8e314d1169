/** Lists a directory. */
import { stat } from "node:fs/promises";
import { entriesOf } from "./entries.ts";
import { inBatches } from "./in_batches.ts";
import { childPath, nameText, type NativePath } from "./native_path.ts";
import type { DirectoryEntry } from "./trait.ts";

/**
 * The entries of a directory, sorted by the bytes of their names. A link has the kind of its target and is left out
 * when it has none.
 * @throws the error of `node:fs`
 */
export async function listDirectory(path: NativePath, signal?: AbortSignal): Promise<DirectoryEntry[]> {
  const entries = await inBatches(await entriesOf(path), async ({ rawName, kind }) => {
    const name = nameText(rawName);
    if (kind !== "link") return { name, isFile: kind === "file", isDirectory: kind === "directory" };
    const target = await stat(childPath(path, rawName)).catch(() => undefined);
    return target && { name, isFile: target.isFile(), isDirectory: target.isDirectory() };
  }, signal);
  return entries.filter((entry) => entry !== undefined);
}
