/** Answers `fs/*` by calling the files of this machine. */
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
import { requireNoSandbox } from "../protocol/sandbox.ts";
import { base64Problem } from "../protocol/schema.ts";
import { type Route, route } from "../rpc/route.ts";
import type { Files } from "./trait.ts";

/** The routes of `fs/*` for whole files and directories. On the wire removing is recursive and forced by default. */
export function fileRoutes(files: Files): Route[] {
  return [
    route(FsReadFile, async ({ path, followSymlinks, sandbox }, { signal }) => {
      requireNoSandbox(sandbox);
      const data = await files.read(path, { followSymlinks: followSymlinks ?? true, signal });
      return { dataBase64: Buffer.from(data.buffer, data.byteOffset, data.length).toString("base64") };
    }),
    route(FsWriteFile, async ({ path, dataBase64, followSymlinks, sandbox }, { signal }) => {
      requireNoSandbox(sandbox);
      const data = decoded(dataBase64);
      await files.write(path, data, { followSymlinks: followSymlinks ?? true, signal });
      return {};
    }),
    route(FsCreateDirectory, async ({ path, recursive, followSymlinks, sandbox }, { signal }) => {
      requireNoSandbox(sandbox);
      await files.mkdir(path, {
        recursive: recursive ?? true,
        followSymlinks: followSymlinks ?? true,
        signal,
      });
      return {};
    }),
    route(FsGetMetadata, ({ path, followSymlinks, sandbox }, { signal }) => {
      requireNoSandbox(sandbox);
      return files.stat(path, { followSymlinks: followSymlinks ?? true, signal });
    }),
    route(FsCanonicalize, async ({ path, sandbox }, { signal }) => {
      requireNoSandbox(sandbox);
      return { path: (await files.canonicalize(path, { signal })).href };
    }),
    route(FsReadDirectory, async ({ path, sandbox }, { signal }) => {
      requireNoSandbox(sandbox);
      const entries = await files.list(path, { signal });
      return {
        entries: entries.map(({ name, isDirectory, isFile }) => ({ fileName: name, isDirectory, isFile })),
      };
    }),
    route(FsWalk, async ({ path, options, sandbox }, { signal }) => {
      requireNoSandbox(sandbox);
      const { entries, errors, truncated } = await files.walk(path, { ...options, signal });
      return {
        entries: entries.map(({ path, kind }) => ({ path: path.href, kind })),
        errors: errors.map(({ path, message }) => ({ path: path.href, message })),
        truncated,
      };
    }),
    route(FsRemove, async ({ path, recursive, force, followSymlinks, sandbox }, { signal }) => {
      requireNoSandbox(sandbox);
      await files.remove(path, {
        recursive: recursive ?? true,
        force: force ?? true,
        followSymlinks: followSymlinks ?? true,
        signal,
      });
      return {};
    }),
    route(FsCopy, async ({ sourcePath, destinationPath, recursive, sandbox }, { signal }) => {
      requireNoSandbox(sandbox);
      await files.copy(sourcePath, destinationPath, { recursive, signal });
      return {};
    }),
  ];
}

function decoded(dataBase64: string): Uint8Array {
  const problem = base64Problem(dataBase64);
  if (problem !== undefined) {
    throw invalidRequest(`fs/writeFile requires valid base64 dataBase64: ${problem}`);
  }
  return Buffer.from(dataBase64, "base64");
}
