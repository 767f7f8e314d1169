/** Where a chain of links ends, also when nothing is there yet. */
import { readlink } from "node:fs/promises";
import { osError } from "../protocol/error.ts";
import { failedWith } from "./attempt.ts";
import { fromRaw, type NativePath, toRaw } from "./native_path.ts";

/** As many as the kernel follows (path_resolution(7)). */
const MAX_LINKS = 40;

/**
 * The path that a write to `path` reaches: a link is replaced by its target until there is none. Links in the
 * directories on the way stay, and `..` after them is left to the kernel.
 * @throws ExecServerError `ELOOP`; `EISDIR` when the end can only be a directory; or the error of `node:fs`
 */
export async function resolveLinks(path: NativePath): Promise<NativePath> {
  let raw = toRaw(path);
  for (let links = 0; links <= MAX_LINKS; links++) {
    if (/(^|\/)\.{0,2}$/.test(raw)) throw osError("EISDIR");
    const target = await readlink(fromRaw(raw), { encoding: "buffer" }).catch((error: unknown) => {
      if (failedWith(error, "EINVAL", "ENOENT")) return undefined; // not a link
      throw error;
    });
    if (target === undefined) return fromRaw(raw);
    const next = toRaw(target);
    raw = next.startsWith("/") ? next : raw.slice(0, raw.lastIndexOf("/") + 1) + next;
  }
  throw osError("ELOOP");
}
