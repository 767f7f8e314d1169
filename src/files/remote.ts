/** The files of a server's machine. */
import { Buffer } from "node:buffer";
import { encodeBase64 } from "../protocol/base64.ts";
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
import { sandboxOnWire } from "../sandbox/on_wire.ts";
import type { Sandbox } from "../sandbox/trait.ts";
import { pathUri } from "./native_path.ts";
import { type AbleCaller, remoteOpen } from "./remote_open.ts";
import { type BasicFiles, withStreams } from "./streams.ts";
import type { Files } from "./trait.ts";
import { walkLimits } from "./walk_limits.ts";

/** The files of the machine that the caller's server runs on, with the rights of that server. */
export function remoteFiles(caller: AbleCaller): Files {
  const files: BasicFiles = {
    open: (path, options) => open(path, options),
    async read(path, { followSymlinks, sandbox, signal } = {}) {
      const { dataBase64 } = await caller.call(FsReadFile, {
        path: pathUri(path),
        followSymlinks,
        ...asked(sandbox),
      }, {
        signal,
      });
      const bytes = Buffer.from(dataBase64, "base64");
      return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
    },
    async write(path, data, { followSymlinks, sandbox, signal } = {}) {
      // The server would have to drop the connection, and everything else on it, for a message above its limit.
      if (data.length > MAX_READ_FILE_BYTES) {
        throw invalidRequest(
          `data is too large to write in one message: limit is ${MAX_READ_FILE_BYTES} bytes; write it as a stream`,
        );
      }
      const dataBase64 = encodeBase64(data);
      await caller.call(FsWriteFile, { path: pathUri(path), dataBase64, followSymlinks, ...asked(sandbox) }, {
        signal,
      });
    },
    async stat(path, { followSymlinks, sandbox, signal } = {}) {
      return await caller.call(FsGetMetadata, { path: pathUri(path), followSymlinks, ...asked(sandbox) }, {
        signal,
      });
    },
    async mkdir(path, { recursive = true, followSymlinks, sandbox, signal } = {}) {
      await caller.call(FsCreateDirectory, {
        path: pathUri(path),
        recursive,
        followSymlinks,
        ...asked(sandbox),
      }, { signal });
    },
    async canonicalize(path, { sandbox, signal } = {}) {
      return new URL(
        (await caller.call(FsCanonicalize, { path: pathUri(path), ...asked(sandbox) }, { signal })).path,
      );
    },
    async list(path, { sandbox, signal } = {}) {
      const { entries } = await caller.call(FsReadDirectory, { path: pathUri(path), ...asked(sandbox) }, {
        signal,
      });
      return entries.map(({ fileName, isFile, isDirectory }) => ({ name: fileName, isFile, isDirectory }));
    },
    async walk(path, { sandbox, signal, ...options } = {}) {
      const found = await caller.call(FsWalk, {
        path: pathUri(path),
        options: walkLimits(options),
        ...asked(sandbox),
      }, {
        signal,
      });
      return {
        entries: found.entries.map(({ path, kind }) => ({ path: new URL(path), kind })),
        errors: found.errors.map(({ path, message }) => ({ path: new URL(path), message })),
        truncated: found.truncated,
      };
    },
    async remove(path, { recursive = false, force = false, followSymlinks, sandbox, signal } = {}) {
      await caller.call(FsRemove, {
        path: pathUri(path),
        recursive,
        force,
        followSymlinks,
        ...asked(sandbox),
      }, { signal });
    },
    async copy(from, to, { recursive = false, sandbox, signal } = {}) {
      const params = {
        sourcePath: pathUri(from),
        destinationPath: pathUri(to),
        recursive,
        ...asked(sandbox),
      };
      await caller.call(FsCopy, params, { signal });
    },
  };
  const open = remoteOpen(caller, files);
  return withStreams(files);
}

function asked(sandbox: Sandbox | undefined) {
  return sandbox && { sandbox: sandboxOnWire(sandbox) };
}
