/**
 * The files of a sandbox, checked once more by the helper in it. The mounts hold by themselves; what they cannot know
 * is a file that a pattern denies and that was made after the sandbox, and the few libraries that are there only so
 * that the helper can run.
 *
 * Where there are patterns, content is reached through the real path that was checked, without following any link:
 * a link that is put in its place between the check and the use is refused, not followed.
 */
import { Buffer } from "node:buffer";
import {
  closeSync,
  constants,
  fstatSync,
  openSync,
  readSync,
  realpathSync,
  type Stats,
  statSync,
} from "node:fs";
import { lstat, readdir, realpath, stat } from "node:fs/promises";
import { join } from "node:path";
import { ExecServerError, invalidRequest, osError } from "../protocol/error.ts";
import { matchesGlob } from "../sandbox/glob_scan.ts";
import { type Access, accessOf, isWithin } from "../sandbox/rules.ts";
import { attempt, failedWith } from "./attempt.ts";
import { withoutLinks } from "./directory_handle.ts";
import type { HelperPolicy } from "./helper_messages.ts";
import { fileUrl, type NativePath, nativePath, nativePathText, shownPath } from "./native_path.ts";
import { openFile, opening } from "./open_file.ts";
import { resolveLinks } from "./resolve_links.ts";
import type { BasicFiles } from "./streams.ts";
import type { FilePath } from "./trait.ts";

/** Files up to this size are read in one go: seven turns of the event loop take ten times as long. */
const SMALL_BYTES = 64 * 1024;
/** How often something is tried again that was exchanged while it was being looked at. */
const MAX_ATTEMPTS = 8;

/** As {@link BasicFiles}, within a policy. Paths that are not UTF-8 are refused where a rule could be about them. */
export function policedFiles(files: BasicFiles, policy: HelperPolicy): BasicFiles {
  const strict = policy.globs.length > 0;

  const accessAt = (path: string): Access =>
    policy.globs.some((glob) => matchesGlob(matcherOf(glob), path)) ? "deny" : accessOf(policy, path);
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
            async (real, followSymlinks) =>
              (followSymlinks ? readSmall(nativePath(real)) : undefined) ??
                await files.read(real, { ...options, followSymlinks }),
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
            (real, follow) => openFile(nativePath(real), mode, follow),
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
        const entries = await files.list(path, options);
        requireAccess(await target(path), "read");
        return entries;
      }),
    walk: (path, options = {}) =>
      attempt(options.signal, async () => {
        const root = await target(path);
        requireAccess(root, "read");
        const found = await files.walk(strict ? fileUrl(root) : path, options);
        if (!strict) return found;
        const shown = nativePathText(path);
        const entries = [];
        for (const entry of found.entries) {
          const real = options.followDirectorySymlinks
            ? await target(entry.path).catch(() => undefined)
            : nativePathText(entry.path);
          if (real === undefined || accessAt(real) === "deny") continue;
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
        if (await isDirectory(source)) return await files.copy(fileUrl(source), fileUrl(arrival), options);
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
  return nativePathText(typeof path === "string" ? path : fileUrl(Buffer.from(path)));
}

/** The content of a small regular file; undefined for all else, also for what fails: it is then done with all care. */
function readSmall(path: NativePath): Uint8Array | undefined {
  let file: number | undefined;
  try {
    if (!isSmall(statSync(path))) return undefined; // opening alone can wake somebody, see `open_regular.ts`
    file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const found = fstatSync(file);
    if (!isSmall(found)) return undefined;
    const bytes = new Uint8Array(found.size + 1);
    const length = readSync(file, bytes, 0, bytes.length, 0);
    return length === found.size ? bytes.subarray(0, length) : undefined;
  } catch {
    return undefined;
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

/** Files of /proc say 0. */
function isSmall(found: Stats): boolean {
  return found.isFile() && found.size > 0 && found.size <= SMALL_BYTES;
}

async function isDirectory(path: string): Promise<boolean> {
  return await stat(path).then((found) => found.isDirectory(), () => false);
}

async function isMissing(path: string): Promise<boolean> {
  return await lstat(path).then(() => false, (error: unknown) => failedWith(error, "ENOENT"));
}
