/** The files of a server's machine. */
import { Buffer } from "node:buffer";
import { invalidRequest } from "../protocol/error.ts";
import {
  FsCanonicalize,
  FsCopy,
  FsCreateDirectory,
  FsGetMetadata,
  FsReadDirectory,
  FsReadFile,
  FsRemove,
  FsWalk,
  FsWriteFile,
} from "../protocol/files.ts";
import { MAX_READ_FILE_BYTES } from "../protocol/limits.ts";
import { pathUri } from "./native_path.ts";
import { type AbleCaller, remoteOpen } from "./remote_open.ts";
import { type BasicFiles, withStreams } from "./streams.ts";
import type { Files } from "./trait.ts";
import { walkLimits } from "./walk_limits.ts";

/** The files of the machine that the caller's server runs on, with the rights of that server. */
export function remoteFiles(caller: AbleCaller): Files {
  const files: BasicFiles = {
    open: (path, options) => open(path, options),
    async read(path, { followSymlinks, signal } = {}) {
      const { dataBase64 } = await caller.call(FsReadFile, { path: pathUri(path), followSymlinks }, {
        signal,
      });
      const bytes = Buffer.from(dataBase64, "base64");
      return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
    },
    async write(path, data, { followSymlinks, signal } = {}) {
      // The server would have to drop the connection, and everything else on it, for a message above its limit.
      if (data.length > MAX_READ_FILE_BYTES) {
        throw invalidRequest(
          `data is too large to write in one message: limit is ${MAX_READ_FILE_BYTES} bytes; write it as a stream`,
        );
      }
      const dataBase64 = Buffer.from(data.buffer, data.byteOffset, data.length).toString("base64");
      await caller.call(FsWriteFile, { path: pathUri(path), dataBase64, followSymlinks }, { signal });
    },
    async stat(path, { followSymlinks, signal } = {}) {
      return await caller.call(FsGetMetadata, { path: pathUri(path), followSymlinks }, { signal });
    },
    async mkdir(path, { recursive = true, followSymlinks, signal } = {}) {
      await caller.call(FsCreateDirectory, { path: pathUri(path), recursive, followSymlinks }, { signal });
    },
    async canonicalize(path, { signal } = {}) {
      return new URL((await caller.call(FsCanonicalize, { path: pathUri(path) }, { signal })).path);
    },
    async list(path, { signal } = {}) {
      const { entries } = await caller.call(FsReadDirectory, { path: pathUri(path) }, { signal });
      return entries.map(({ fileName, isFile, isDirectory }) => ({ name: fileName, isFile, isDirectory }));
    },
    async walk(path, { signal, ...options } = {}) {
      const found = await caller.call(FsWalk, { path: pathUri(path), options: walkLimits(options) }, {
        signal,
      });
      return {
        entries: found.entries.map(({ path, kind }) => ({ path: new URL(path), kind })),
        errors: found.errors.map(({ path, message }) => ({ path: new URL(path), message })),
        truncated: found.truncated,
      };
    },
    async remove(path, { recursive = false, force = false, followSymlinks, signal } = {}) {
      await caller.call(FsRemove, { path: pathUri(path), recursive, force, followSymlinks }, { signal });
    },
    async copy(from, to, { recursive = false, signal } = {}) {
      const params = { sourcePath: pathUri(from), destinationPath: pathUri(to), recursive };
      await caller.call(FsCopy, params, { signal });
    },
  };
  const open = remoteOpen(caller, files);
  return withStreams(files);
}
