/**
 * Temporary files of a file helper. One that is killed in the middle of a write cannot remove its own; the server knows
 * them from what the helper said before, and has the next helper of that policy remove them. So they are removed inside
 * the sandbox, like everything that a policy is about.
 */
import { realpathSync, unlinkSync } from "node:fs";
import { posix } from "node:path";
import type { HelperNotice } from "./helper_messages.ts";
import { childPath, fileUrl, fromRaw, nativeOf, nativePath, parentPath, toRaw } from "./native_path.ts";
import { isTemporaryName, type WatchTemporary } from "./temporary_file.ts";

/** Says what is made, by its real path: the one that is used may lead through a descriptor of this process. */
export function announcing(say: (notice: HelperNotice) => void): WatchTemporary {
  return (path) => {
    const raw = toRaw(path);
    let folder: Uint8Array;
    try {
      folder = realpathSync.native(parentPath(fromRaw(raw)), { encoding: "buffer" });
    } catch {
      return () => {}; // nothing will be made either
    }
    const uri = fileUrl(childPath(nativeOf(folder), posix.basename(raw))).href;
    say({ temporary: uri });
    return () => say({ settled: uri });
  };
}

/** Removes what is a temporary file by its name; what is gone, or must not be changed, stays as it is. */
export function discardTemporaries(uris: readonly string[]): void {
  for (const uri of uris) {
    if (!URL.canParse(uri)) continue;
    const path = nativePath(new URL(uri));
    if (!isTemporaryName(posix.basename(toRaw(path)))) continue;
    try {
      unlinkSync(path);
    } catch {
      // gone: it had its name already when the helper was killed
    }
  }
}
