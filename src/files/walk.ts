/** Lists the tree below a directory. */
import { lstat, realpath, stat } from "node:fs/promises";
import { setImmediate } from "node:timers/promises";
import { toFileError } from "./attempt.ts";
import { entriesOf, type Entry } from "./entries.ts";
import { childPath, fileUrl, type NativePath, toRaw } from "./native_path.ts";
import type { WalkEntry, WalkOptions, WalkResult } from "./trait.ts";
import { walkLimits } from "./walk_limits.ts";

/** Bytes of URIs and messages in one result, so that it always fits into one message of the wire (64 MiB). */
export const MAX_WALK_RESULT_BYTES = 32 * 1024 * 1024;
/** What an entry takes besides its URI. */
const ENTRY_OVERHEAD_BYTES = 64;
/** Entries between two breaks: 50,000 URLs at once would hold up everybody else for a tenth of a second. */
const ENTRIES_PER_TURN = 512;

interface Pending {
  readonly path: NativePath;
  readonly depth: number;
}

/**
 * The tree below a directory, breadth first, each directory's entries in the order of their bytes. A root that is no
 * directory, or a link that is not to be followed, has nothing below it.
 * @param read the entries of a directory
 * @throws ExecServerError `INVALID_REQUEST` for impossible bounds; or the error of `node:fs` about the root
 */
export async function walkTree(
  root: NativePath,
  options: WalkOptions,
  signal?: AbortSignal,
  read: (directory: NativePath) => Promise<readonly Entry[]> = entriesOf,
): Promise<WalkResult> {
  const limits = walkLimits(options);
  const follow = limits.followDirectorySymlinks;
  const enterable = (await stat(root)).isDirectory() && (follow || !(await lstat(root)).isSymbolicLink());
  if (!enterable) return { entries: [], errors: [], truncated: false };

  const findings = collectFindings();
  const queue: Pending[] = [{ path: root, depth: 0 }];
  // Without followed links a directory has one path only, and nothing needs to be remembered.
  const entered = new Set<string>(follow ? [await identity(root)] : []);
  let seen = 0;
  for (const { path: directory, depth } of queue) {
    signal?.throwIfAborted();
    const found = await read(directory).catch((error: unknown) => findings.fail(directory, error)) ?? [];
    for (const entry of found) {
      if (findings.full()) return findings.result();
      const path = childPath(directory, entry.rawName);
      const kind = entry.kind === "link" ? await targetKind(path) : entry.kind;
      if (kind === undefined) continue;
      // Entries that are not listed count, too: a tree full of sockets must not be read for ever.
      if (seen === limits.maxEntries) {
        findings.truncate();
        return findings.result();
      }
      if (++seen % ENTRIES_PER_TURN === 0) await setImmediate();
      if (kind === "other" || (entry.kind === "link" && (kind === "file" || !follow))) continue;
      findings.add(path, kind);
      if (kind === "file" || depth === limits.maxDepth) continue;
      if (limits.pruneHiddenDirectories && entry.rawName.startsWith(".")) continue;
      if (follow) {
        const id = await identity(path).catch((error: unknown) => findings.fail(path, error));
        if (id === undefined || entered.has(id)) continue;
        entered.add(id);
      }
      if (queue.length < limits.maxDirectories) queue.push({ path, depth: depth + 1 });
      else findings.truncate();
    }
    if (findings.full()) break;
  }
  return findings.result();
}

/** What goes into the result, within {@link MAX_WALK_RESULT_BYTES}. */
function collectFindings() {
  const entries: WalkEntry[] = [];
  const errors: { path: URL; message: string }[] = [];
  let truncated = false;
  let bytes = 0;
  const takes = (more: number) => {
    bytes += more + ENTRY_OVERHEAD_BYTES;
    truncated ||= bytes > MAX_WALK_RESULT_BYTES;
    return bytes <= MAX_WALK_RESULT_BYTES;
  };
  return {
    add(path: NativePath, kind: WalkEntry["kind"]): void {
      const url = fileUrl(path);
      if (takes(url.href.length)) entries.push({ path: url, kind });
    },
    fail(path: NativePath, error: unknown): undefined {
      const url = fileUrl(path);
      const { message } = toFileError(error);
      if (takes(url.href.length + message.length)) errors.push({ path: url, message });
    },
    truncate(): void {
      truncated = true;
    },
    full: () => bytes > MAX_WALK_RESULT_BYTES,
    result: (): WalkResult => ({ entries, errors, truncated }),
  };
}

/** Undefined for a broken or looping link. */
async function targetKind(link: NativePath): Promise<WalkEntry["kind"] | "other" | undefined> {
  const target = await stat(link).catch(() => undefined);
  if (target === undefined) return undefined;
  if (target.isDirectory()) return "directory";
  return target.isFile() ? "file" : "other";
}

/** The same for every path that leads to one directory. */
async function identity(directory: NativePath): Promise<string> {
  return toRaw(await realpath(directory, { encoding: "buffer" }));
}
