/** Files of an environment, local or remote. */
import type { Sandbox } from "../sandbox/trait.ts";

/** An absolute native path, or a `file:` URL (which can also name paths that are not UTF-8). */
export type FilePath = string | URL;

/** What {@link Files.stat} tells. For a link, kind and size are those of its target. */
export interface FileStat {
  /** A regular file. */
  readonly isFile: boolean;
  /** A directory. */
  readonly isDirectory: boolean;
  /** The path itself is a symbolic link. */
  readonly isSymlink: boolean;
  /** Bytes. */
  readonly size: number;
  /** Milliseconds since 1970, 0 where it is not known. */
  readonly createdAtMs: number;
  /** Milliseconds since 1970. */
  readonly modifiedAtMs: number;
}

/** An entry of {@link Files.list}. The kind is that of a link's target. */
export interface DirectoryEntry {
  /** Without its directory; bytes that are not UTF-8 become U+FFFD. */
  readonly name: string;
  /** A regular file. */
  readonly isFile: boolean;
  /** A directory. */
  readonly isDirectory: boolean;
}

/** Bounds of {@link Files.walk}. */
export interface WalkOptions {
  /** 0 lists the root's children only; at most 64. Default 64. */
  readonly maxDepth?: number;
  /** Directories that are entered, 1 to 10,000. Default 10,000. */
  readonly maxDirectories?: number;
  /** Entries in the answer, 1 to 50,000. Default 50,000. */
  readonly maxEntries?: number;
  /** Enter directories behind links, once each. Default false. */
  readonly followDirectorySymlinks?: boolean;
  /** List directories whose name begins with a dot, but do not enter them. Default false. */
  readonly pruneHiddenDirectories?: boolean;
}

/** An entry of {@link Files.walk}. */
export interface WalkEntry {
  /** A `file:` URL, with `%FF` for bytes that are not UTF-8. */
  readonly path: URL;
  /** Of the target, for a link. */
  readonly kind: "file" | "directory";
}

/** What {@link Files.walk} found. */
export interface WalkResult {
  /** Breadth first, sorted by name within a directory; without the root. */
  readonly entries: readonly WalkEntry[];
  /** Directories that could not be read, and why. */
  readonly errors: readonly { readonly path: URL; readonly message: string }[];
  /** A bound was reached: there is more. */
  readonly truncated: boolean;
}

/** Options every file operation takes. */
export interface FileOptions {
  /** Gives up waiting; a change that has begun may still happen. */
  readonly signal?: AbortSignal | undefined;
  /** What the operation may do; its network is off in any case. Default: what the server may, or lets it. */
  readonly sandbox?: Sandbox | undefined;
}

/** What {@link Files.open} opens a file for. */
export interface FileOpenOptions extends FileOptions {
  /**
   * `read` (default); `replace`: the file is created or emptied now, and what is written is seen at once;
   * `replaceOnCommit`: the file gets its new content, in one step, with {@link OpenFile.commit}, and stays as it is
   * when that never comes. A file that cannot be exchanged (other hard links, a folder that takes no entry, an owner
   * that could not be kept) is written as with `replace`, and so is every file of a server without
   * `fileReplaceOnCommit`.
   */
  readonly mode?: "read" | "replace" | "replaceOnCommit" | undefined;
}

/**
 * An open regular file. Blocks may be read and written in any order, several at the same time. It stays the file that
 * was opened, whatever happens to the path. An open file of a server ends with the connection: after that everything
 * fails with `HANDLE_LOST`, also when the environment has reconnected, and it has to be opened again.
 */
export interface OpenFile extends AsyncDisposable {
  /**
   * A block. It has less than `length` bytes only where the file ends.
   * @param length 1 to 1,048,576 bytes
   */
  read(offset: number, length: number): Promise<Uint8Array>;
  /**
   * Writes a block; a gap before it is filled with zeros.
   * @param bytes 1 to 1,048,576 bytes; not to be changed until it is done
   */
  write(offset: number, bytes: Uint8Array): Promise<void>;
  /** Waits for what is being written, then puts it in place, when it is not there already, and closes. */
  commit(): Promise<void>;
  /** Waits for what is being read and written, then closes. Without a commit `replaceOnCommit` changes nothing. */
  close(): Promise<void>;
}

/** {@link FileOptions} of the operations that can refuse to go through a link. */
export interface LinkOptions extends FileOptions {
  /** False refuses a path that is or leads through a symbolic link. Default true. */
  readonly followSymlinks?: boolean;
}

/**
 * Operations on files and directories. All paths are absolute. Every method rejects with an `ExecServerError` whose
 * `code` is the POSIX error name (`ENOENT`, `EACCES`, `EISDIR` …) or `INVALID_REQUEST`; with a sandbox that cannot be had
 * `SANDBOX_UNAVAILABLE`, with one that makes no sense `INVALID_PARAMS`.
 */
export interface Files {
  /**
   * The content of a regular file.
   * @throws `INVALID_REQUEST` for anything that is not a regular file, and for more than 45 MiB
   */
  read(path: FilePath, options?: LinkOptions): Promise<Uint8Array>;
  /**
   * Replaces or creates a file, all or nothing: readers see the old or the new content, never a part. Mode and owner
   * of an existing file are kept, and a link stays a link. Missing parents are not made.
   */
  write(path: FilePath, data: Uint8Array, options?: LinkOptions): Promise<void>;
  /**
   * Opens a regular file, for blocks at any offset. The caller closes it.
   * @throws `INVALID_REQUEST` for anything that is not a regular file, and when too many files are open
   */
  open(path: FilePath, options?: FileOpenOptions): Promise<OpenFile>;
  /**
   * The content of a regular file of any size, in blocks; a few are read ahead. It is opened with the first read, and
   * fails with `HANDLE_LOST` when the connection breaks.
   */
  readStream(path: FilePath, options?: FileOptions): ReadableStream<Uint8Array>;
  /**
   * Replaces or creates a file of any size, when the stream is closed: all or nothing, as {@link Files.write} where it
   * fits into one block, else with the mode `replaceOnCommit` of {@link Files.open} and within its limits. An abort
   * leaves the old file; so does a connection that breaks (`HANDLE_LOST`). When it broke during the last step, nobody
   * knows (`UNKNOWN_OUTCOME`).
   */
  writeStream(path: FilePath, options?: FileOptions): WritableStream<Uint8Array>;
  /** Kind, size and times. */
  stat(path: FilePath, options?: LinkOptions): Promise<FileStat>;
  /** Makes a directory; `recursive` (default true) makes parents and accepts an existing directory. */
  mkdir(path: FilePath, options?: LinkOptions & { readonly recursive?: boolean }): Promise<void>;
  /** The absolute path without links, as a `file:` URL. The path must exist. */
  canonicalize(path: FilePath, options?: FileOptions): Promise<URL>;
  /** The entries of a directory, sorted by name; broken links are left out. */
  list(path: FilePath, options?: FileOptions): Promise<readonly DirectoryEntry[]>;
  /** The tree below a directory, breadth first. */
  walk(path: FilePath, options?: FileOptions & WalkOptions): Promise<WalkResult>;
  /**
   * Removes a path; a link goes, not its target. Unlike the wire, which defaults both to true, `recursive` (remove
   * what is below) and `force` (a missing path is fine) default to false.
   */
  remove(
    path: FilePath,
    options?: LinkOptions & { readonly recursive?: boolean; readonly force?: boolean },
  ): Promise<void>;
  /** Copies a file, a link as a link, or with `recursive` (default false) a directory into place. */
  copy(from: FilePath, to: FilePath, options?: FileOptions & { readonly recursive?: boolean }): Promise<void>;
}
