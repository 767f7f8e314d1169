/** `fs/*` (protocol reference, section 11). */
import * as v from "valibot";
import { method, repeatable } from "./method.ts";
import { enforcedSandbox } from "./sandbox.ts";
import { flag, maybe, pathUri, struct, text, unsigned } from "./schema.ts";

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
