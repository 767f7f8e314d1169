/** `fs/*` (protocol reference, section 11). */
import * as v from "valibot";
import { method, repeatable } from "./method.ts";
import { enforcedSandbox } from "./sandbox.ts";
import { base64, bytesOrBase64, flag, maybe, pathUri, struct, text, unsigned, variant } from "./schema.ts";

const followSymlinks = () => maybe(flag());
const empty = v.object({});

/** A whole regular file. */
export const FsReadFile = repeatable(method(
  "fs/readFile",
  "filesystem",
  "FsReadFileParams",
  struct("FsReadFileParams", {
    path: pathUri(),
    followSymlinks: followSymlinks(),
    sandbox: enforcedSandbox(),
  }),
  v.object({ dataBase64: v.string() }),
));

/** Replaces or creates a file. */
export const FsWriteFile = method(
  "fs/writeFile",
  "filesystem",
  "FsWriteFileParams",
  struct("FsWriteFileParams", {
    path: pathUri(),
    dataBase64: text(),
    followSymlinks: followSymlinks(),
    sandbox: enforcedSandbox(),
  }),
  empty,
);

/** Makes a directory, by default with its parents. */
export const FsCreateDirectory = method(
  "fs/createDirectory",
  "filesystem",
  "FsCreateDirectoryParams",
  struct("FsCreateDirectoryParams", {
    path: pathUri(),
    recursive: maybe(flag()),
    followSymlinks: followSymlinks(),
    sandbox: enforcedSandbox(),
  }),
  empty,
);

/** Kind, size and times of a path. */
export const FsGetMetadata = repeatable(method(
  "fs/getMetadata",
  "filesystem",
  "FsGetMetadataParams",
  struct("FsGetMetadataParams", {
    path: pathUri(),
    followSymlinks: followSymlinks(),
    sandbox: enforcedSandbox(),
  }),
  v.object({
    isDirectory: v.boolean(),
    isFile: v.boolean(),
    isSymlink: v.boolean(),
    size: v.number(),
    createdAtMs: v.number(),
    modifiedAtMs: v.number(),
  }),
));

/** The path without links. */
export const FsCanonicalize = repeatable(method(
  "fs/canonicalize",
  "filesystem",
  "FsCanonicalizeParams",
  struct("FsCanonicalizeParams", { path: pathUri(), sandbox: enforcedSandbox() }),
  v.object({ path: v.string() }),
));

/** The names in a directory. */
export const FsReadDirectory = repeatable(method(
  "fs/readDirectory",
  "filesystem",
  "FsReadDirectoryParams",
  struct("FsReadDirectoryParams", { path: pathUri(), sandbox: enforcedSandbox() }),
  v.object({
    entries: v.array(v.object({ fileName: v.string(), isDirectory: v.boolean(), isFile: v.boolean() })),
  }),
));

/** A tree, breadth first, within limits. */
export const FsWalk = repeatable(method(
  "fs/walk",
  "filesystem",
  "FsWalkParams",
  struct("FsWalkParams", {
    path: pathUri(),
    options: struct("WalkOptions", {
      maxDepth: unsigned("usize"),
      maxDirectories: unsigned("usize"),
      maxEntries: unsigned("usize"),
      followDirectorySymlinks: flag(),
      pruneHiddenDirectories: v.optional(flag(), false),
    }),
    sandbox: enforcedSandbox(),
  }),
  v.object({
    entries: v.array(v.object({ path: v.string(), kind: v.picklist(["file", "directory"]) })),
    errors: v.array(v.object({ path: v.string(), message: v.string() })),
    truncated: v.boolean(),
  }),
));

/** Removes a file or, by default, a whole tree. */
export const FsRemove = method(
  "fs/remove",
  "filesystem",
  "FsRemoveParams",
  struct("FsRemoveParams", {
    path: pathUri(),
    recursive: maybe(flag()),
    force: maybe(flag()),
    followSymlinks: followSymlinks(),
    sandbox: enforcedSandbox(),
  }),
  empty,
);

/** Copies a file, a link or, with `recursive`, a tree. */
export const FsCopy = method(
  "fs/copy",
  "filesystem",
  "FsCopyParams",
  struct("FsCopyParams", {
    sourcePath: pathUri(),
    destinationPath: pathUri(),
    recursive: flag(),
    sandbox: enforcedSandbox(),
  }),
  empty,
);

/** What a file is opened for. `replaceOnCommit` is ours. */
export const OPEN_MODES = ["read", "replace", "replaceOnCommit"] as const;

/** Opens a regular file, to be read or written in blocks. The handle belongs to the connection and ends with it. */
export const FsOpen = method(
  "fs/open",
  "filesystem",
  "FsOpenParams",
  struct("FsOpenParams", {
    handleId: text(),
    path: pathUri(),
    mode: v.optional(variant(OPEN_MODES), "read"),
    sandbox: enforcedSandbox(),
  }),
  v.object({ handleId: v.string() }),
);

/** Reads a block of an open file. */
export const FsReadBlock = method(
  "fs/readBlock",
  "filesystem",
  "FsReadBlockParams",
  struct("FsReadBlockParams", { handleId: text(), offset: unsigned(), len: unsigned("usize") }),
  v.object({ chunk: bytesOrBase64(), eof: v.boolean() }),
);

/** Writes a block to a file that is open for that. */
export const FsWriteBlock = method(
  "fs/writeBlock",
  "filesystem",
  "FsWriteBlockParams",
  struct("FsWriteBlockParams", { handleId: text(), offset: unsigned(), chunk: base64() }),
  empty,
);

/** Ends a handle, when the blocks that are on their way are done. */
export const FsClose = method(
  "fs/close",
  "filesystem",
  "FsCloseParams",
  struct("FsCloseParams", {
    handleId: text(),
    /** Added: puts what was written with `replaceOnCommit` in place; an unknown handle is then an error. */
    commit: v.optional(flag(), false),
  }),
  empty,
);
