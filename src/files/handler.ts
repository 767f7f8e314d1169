/** Answers `fs/*` by calling the files of this machine, or those that a sandbox shows. */
import { Buffer } from "node:buffer";
import type * as v from "valibot";
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
import type { Method } from "../protocol/method.ts";
import type { SandboxContext } from "../protocol/sandbox.ts";
import { base64Problem } from "../protocol/schema.ts";
import type { Call, Route } from "../rpc/route.ts";
import { handleRoutes, type HeldHelper } from "./handle_routes.ts";
import type { FileHandles } from "./handles.ts";
import { createSandboxMemory, type Sandboxable } from "./sandbox_memory.ts";
import type { BasicFiles } from "./streams.ts";

/** Carries out requests for which a sandbox is asked, or demanded by the operator. */
export interface SandboxedFiles {
  /**
   * The result of a request, as it goes over the wire; undefined when it needs no sandbox.
   * @param params as they were decoded, without `sandbox`
   */
  call(
    asked: SandboxContext | null | undefined,
    method: Method,
    params: Readonly<Record<string, unknown>>,
    signal: AbortSignal,
  ): Promise<{ readonly result: unknown } | undefined>;
  /** A helper for a file that is to stay open; undefined when it needs no sandbox. */
  hold(asked: SandboxContext | null | undefined, signal: AbortSignal): Promise<HeldHelper | undefined>;
  /** Ends every helper. Resolves when all are gone, with what stood for missing names. */
  close(): Promise<void>;
}

/**
 * The routes of `fs/*`. On the wire removing is recursive and forced by default.
 * @param files for what needs no sandbox
 * @param sandboxed for what does; undefined inside a sandbox, where there is no second one to ask for
 * @param handles the files that are open
 */
export function fileRoutes(
  files: BasicFiles,
  sandboxed: SandboxedFiles | undefined,
  handles: FileHandles,
): Route[] {
  const memory = createSandboxMemory();
  function fileRoute<P extends v.GenericSchema<unknown, Sandboxable>, R extends v.GenericSchema>(
    method: Method<P, R>,
    handle: (params: v.InferOutput<P>, call: Call) => Promise<v.InferInput<R>>,
  ): Route {
    return {
      method,
      lane: "ordinary",
      prepare(rawParams) {
        const { params, sandbox } = memory.decode(method, rawParams);
        return async (call) => {
          const { sandbox: _, ...rest } = params;
          const done = await sandboxed?.call(sandbox, method, rest, call.signal);
          return done ? done.result : await handle(params, call);
        };
      },
    };
  }
  return [
    fileRoute(FsReadFile, async ({ path, followSymlinks }, { signal }) => {
      const data = await files.read(path, { followSymlinks: followSymlinks ?? true, signal });
      return { dataBase64: encodeBase64(data) };
    }),
    fileRoute(FsWriteFile, async ({ path, dataBase64, followSymlinks }, { signal }) => {
      const data = decoded(dataBase64);
      await files.write(path, data, { followSymlinks: followSymlinks ?? true, signal });
      return {};
    }),
    fileRoute(FsCreateDirectory, async ({ path, recursive, followSymlinks }, { signal }) => {
      await files.mkdir(path, {
        recursive: recursive ?? true,
        followSymlinks: followSymlinks ?? true,
        signal,
      });
      return {};
    }),
    fileRoute(
      FsGetMetadata,
      ({ path, followSymlinks }, { signal }) =>
        files.stat(path, { followSymlinks: followSymlinks ?? true, signal }),
    ),
    fileRoute(FsCanonicalize, async ({ path }, { signal }) => ({
      path: (await files.canonicalize(path, { signal })).href,
    })),
    fileRoute(FsReadDirectory, async ({ path }, { signal }) => {
      const entries = await files.list(path, { signal });
      return {
        entries: entries.map(({ name, isDirectory, isFile }) => ({ fileName: name, isDirectory, isFile })),
      };
    }),
    fileRoute(FsWalk, async ({ path, options }, { signal }) => {
      const { entries, errors, truncated } = await files.walk(path, { ...options, signal });
      return {
        entries: entries.map(({ path, kind }) => ({ path: path.href, kind })),
        errors: errors.map(({ path, message }) => ({ path: path.href, message })),
        truncated,
      };
    }),
    fileRoute(FsRemove, async ({ path, recursive, force, followSymlinks }, { signal }) => {
      await files.remove(path, {
        recursive: recursive ?? true,
        force: force ?? true,
        followSymlinks: followSymlinks ?? true,
        signal,
      });
      return {};
    }),
    fileRoute(FsCopy, async ({ sourcePath, destinationPath, recursive }, { signal }) => {
      await files.copy(sourcePath, destinationPath, { recursive, signal });
      return {};
    }),
    ...handleRoutes(files, sandboxed, handles, memory),
  ];
}

function decoded(dataBase64: string): Uint8Array {
  const problem = base64Problem(dataBase64);
  if (problem !== undefined) {
    throw invalidRequest(`fs/writeFile requires valid base64 dataBase64: ${problem}`);
  }
  return Buffer.from(dataBase64, "base64");
}
