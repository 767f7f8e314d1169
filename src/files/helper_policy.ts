/**
 * The files of a sandbox, checked once more by the helper in it. The mounts hold by themselves; what they cannot know
 * is a file that a pattern denies and that was made after the sandbox, and the few libraries that are there only so
 * that the helper can run.
 *
 * Where there are patterns, content is reached through the real path that was checked, without following any link:
 * a link that is put in its place between the check and the use is refused, not followed.
 */
import { realpathSync } from "node:fs";
import { lstat, readdir, realpath, stat } from "node:fs/promises";
import { join } from "node:path";
import { ExecServerError, invalidRequest, osError } from "../protocol/error.ts";
import { matchesGlob } from "../sandbox/glob_scan.ts";
import { type Access, accessOf, isWithin } from "../sandbox/rules.ts";
import { attempt, failedWith } from "./attempt.ts";
import { copyPath } from "./copy.ts";
import { withoutLinks } from "./directory_handle.ts";
import { entriesOf, type Entry } from "./entries.ts";
import type { HelperPolicy } from "./helper_messages.ts";
import { listDirectory } from "./list.ts";
import {
  childPath,
  fileUrl,
  nativeOf,
  type NativePath,
  nativePath,
  nativePathText,
  shownPath,
} from "./native_path.ts";
import { openFile, opening } from "./open_file.ts";
import { inPlace, type Judge } from "./place.ts";
import { resolveLinks } from "./resolve_links.ts";
import type { BasicFiles } from "./streams.ts";
import type { WatchTemporary } from "./temporary_file.ts";
import type { FilePath } from "./trait.ts";
import { walkTree } from "./walk.ts";

/** How often something is tried again that was exchanged while it was being looked at. */
const MAX_ATTEMPTS = 8;

/** What a policy says of a real path, also of one that appeared later. */
export function accessIn(policy: HelperPolicy, path: string): Access {
  return policy.globs.some((glob) => matchesGlob(matcherOf(glob), path)) ? "deny" : accessOf(policy, path);
}

/**
 * As {@link BasicFiles}, within a policy. Paths that are not UTF-8 are refused where a rule could be about them.
 * @param watch is told of temporary files, as that of `files`
 */
export function policedFiles(files: BasicFiles, policy: HelperPolicy, watch?: WatchTemporary): BasicFiles {
  const strict = policy.globs.length > 0;

  const accessAt = (path: string) => accessIn(policy, path);
  const requireAccess = (path: string, wanted: "read" | "write") => {
    const access = accessAt(path);
    if (access === "deny") throw osError("EACCES");
    // The kernel's own folder is not the policy's: a helper must not be able to write into itself.
    if (wanted === "write" && (access !== "write" || isWithin(path, "/proc"))) throw osError("EROFS");
  };

  /** Where a path leads, which must exist. */
  // Not asynchronous: it is asked before each read, and only the requests of one policy wait meanwhile.
  const target = (path: FilePath) =>
    new Promise<string>((resolve) => {
      resolve(text(realpathSync.native(nativePath(path), { encoding: "buffer" })));
    });
  /** Where an entry is, whatever it is: only the folders before it are followed. */
  const place = async (path: FilePath) => {
    const lexical = nativePathText(path);
    if (lexical === "/") return lexical;
    const end = lexical.lastIndexOf("/");
    const folder = text(await realpath(lexical.slice(0, end) || "/", { encoding: "buffer" }));
    return join(folder, lexical.slice(end + 1));
  };
  /** Where a write arrives: behind links, also when nothing is there yet. */
  const destination = async (path: FilePath) => {
    const end = await resolveLinks(nativePath(path));
    return await place(text(end));
  };
  /** The place of the nearest folder that exists, with what is still to be made below it. */
  const future = async (path: FilePath) => {
    const lexical = nativePathText(path);
    for (let at = lexical, below = "";;) {
      try {
        return join(await target(at), below);
      } catch (error) {
        if (at === "/" || !failedWith(error, "ENOENT")) throw error;
        const end = at.lastIndexOf("/");
        below = join(at.slice(end + 1), below);
        at = at.slice(0, end) || "/";
      }
    }
  };

  /** Runs an operation on a checked path; without links where a link could lead past a pattern. */
  const onChecked = async <T>(
    path: FilePath,
    { follow, wanted }: { readonly follow: boolean; readonly wanted: "read" | "write" },
    work: (path: FilePath, follow: boolean) => Promise<T>,
  ): Promise<T> => {
    for (let tries = 1;; tries++) {
      const real = !follow
        ? nativePathText(path)
        : await (wanted === "read" ? target(path) : destination(path));
      if (wanted === "write" && follow && await isDirectory(real)) throw osError("EISDIR");
      requireAccess(real, wanted);
      if (!strict || !follow) return await work(path, follow);
      try {
        return await work(fileUrl(real), false);
      } catch (error) {
        const exchanged = failedWith(error, "ENOTDIR", "ELOOP", "ENOENT") && tries < MAX_ATTEMPTS &&
          real !== await (wanted === "read" ? target(path) : destination(path));
        if (!exchanged) throw worded(error, path);
      }
    }
  };

  /** The same about what is open, where there are patterns: nothing lies between that and its use. */
  const judge: Judge = (place, wanted) => requireAccess(text(place), wanted);
  /** Of a directory that may be read where it is; without what is denied there. */
  const judgedEntries = (directory: NativePath) =>
    inPlace(directory, { judge, follow: true }, async (held, place) => {
      const isDenied = ({ rawName }: Entry) => accessAt(text(childPath(place, rawName))) === "deny";
      return (await entriesOf(held)).filter((entry) => !isDenied(entry));
    });

  /** Refuses when anything in a tree is denied: it cannot be left out of what happens to the whole. */
  const requireWholeTree = async (real: string, wanted: "read" | "write") => {
    requireAccess(real, wanted);
    if (!strict || !(await lstat(real)).isDirectory()) return;
    for (const entry of await readdir(real, { withFileTypes: true })) {
      const path = join(real, entry.name);
      if (entry.isDirectory()) await requireWholeTree(path, wanted);
      else requireAccess(path, wanted);
    }
  };

  return {
    read: (path, options = {}) =>
      attempt(
        options.signal,
        () =>
          onChecked(
            path,
            { follow: options.followSymlinks ?? true, wanted: "read" },
            (real, followSymlinks) => files.read(real, { ...options, followSymlinks }),
          ),
      ),
    write: (path, data, options = {}) =>
      attempt(
        options.signal,
        () =>
          onChecked(
            path,
            { follow: options.followSymlinks ?? true, wanted: "write" },
            (real, followSymlinks) => files.write(real, data, { ...options, followSymlinks }),
          ),
      ),
    open: (path, { mode = "read", signal } = {}) =>
      opening(
        signal,
        () =>
          onChecked(
            path,
            { follow: true, wanted: mode === "read" ? "read" : "write" },
            (real, follow) => openFile(nativePath(real), mode, follow, watch),
          ),
      ),
    stat: (path, options = {}) =>
      attempt(options.signal, async () => {
        requireAccess(await ((options.followSymlinks ?? true) ? target(path) : place(path)), "read");
        return await files.stat(path, options);
      }),
    mkdir: (path, options = {}) =>
      attempt(options.signal, async () => {
        const real = await future(path);
        const there = await stat(real).then(() => true, () => false);
        requireAccess(real, there ? "read" : "write");
        return await files.mkdir(path, options);
      }),
    canonicalize: (path, options = {}) =>
      attempt(options.signal, async () => {
        const found = await files.canonicalize(path, options);
        requireAccess(nativePathText(found), "read");
        return found;
      }),
    list: (path, options = {}) =>
      attempt(options.signal, async () => {
        requireAccess(await target(path), "read");
        if (!strict) return await files.list(path, options);
        return await inPlace(nativePath(path), { judge, follow: true }, (held) =>
          listDirectory(held, options.signal));
      }),
    walk: (path, options = {}) =>
      attempt(options.signal, async () => {
        const root = await target(path);
        requireAccess(root, "read");
        if (!strict) return await files.walk(path, options);
        const found = await walkTree(root, options, options.signal, judgedEntries);
        const shown = nativePathText(path);
        const entries = [];
        for (const entry of found.entries) {
          if (options.followDirectorySymlinks) { // else there are no links among them
            const real = await target(entry.path).catch(() => undefined);
            if (real === undefined || accessAt(real) === "deny") continue;
          }
          entries.push({ ...entry, path: moved(entry.path, root, shown) });
        }
        const errors = found.errors.map((one) => ({ ...one, path: moved(one.path, root, shown) }));
        return { ...found, entries, errors };
      }),
    remove: (path, options = {}) =>
      attempt(options.signal, async () => {
        const real = await place(path).catch((error: unknown) => {
          if (options.force && failedWith(error, "ENOENT")) return undefined;
          throw error;
        });
        if (real === undefined || await isMissing(real)) {
          // What is hidden seems to be missing: it must not seem to be removed.
          if (accessAt(real ?? nativePathText(path)) === "deny") throw osError("EACCES");
          return await files.remove(path, options);
        }
        requireAccess(real, "write");
        if (options.recursive) await requireWholeTree(real, "write");
        await files.remove(strict ? fileUrl(real) : path, options);
      }),
    copy: (from, to, options = {}) =>
      attempt(options.signal, async () => {
        const source = await place(from);
        await requireWholeTree(source, "read");
        const arrival = await isDirectory(source) ? await future(to) : await destination(to);
        requireAccess(arrival, "write");
        if (!strict) return await files.copy(from, to, options);
        if (await isDirectory(source)) {
          const { recursive = false, signal } = options;
          return await copyPath(source, arrival, { recursive, signal, judge, watch });
        }
        await withoutLinks(source, (held) =>
          withoutLinks(arrival, (place) => files.copy(fileUrl(held), fileUrl(place), options)));
      }),
  };
}

/** With the words of an operation that follows links, which was asked for. */
function worded(error: unknown, path: FilePath): unknown {
  if (error instanceof ExecServerError && error.message === "path is not a regular file") {
    return invalidRequest(`path \`${shownPath(nativePath(path))}\` is not a file`);
  }
  return error;
}

function matcherOf({ base, rest, depth }: HelperPolicy["globs"][number]) {
  return { base, rest, depth };
}

/** A path of a tree that was walked by its real path, as it is below the path that was asked for. */
function moved(path: URL, root: string, shown: string): URL {
  if (root === shown) return path;
  const before = fileUrl(root).href.replace(/\/$/, "");
  return new URL(fileUrl(shown).href.replace(/\/$/, "") + path.href.slice(before.length));
}

/** A rule cannot be about bytes that are no text, but about a folder above them: the nearest text decides. */
function text(path: string | Uint8Array): string {
  const native = typeof path === "string" ? path : nativeOf(path);
  return typeof native === "string" ? native : nativePathText(fileUrl(native));
}

async function isDirectory(path: string): Promise<boolean> {
  return await stat(path).then((found) => found.isDirectory(), () => false);
}

async function isMissing(path: string): Promise<boolean> {
  return await lstat(path).then(() => false, (error: unknown) => failedWith(error, "ENOENT"));
}
