/** Answers `fs/open`, `fs/readBlock`, `fs/writeBlock` and `fs/close`. */
import { randomUUID } from "node:crypto";
import { FsClose, FsOpen, FsReadBlock, FsWriteBlock } from "../protocol/files.ts";
import type * as v from "valibot";
import type { Caller } from "../rpc/caller.ts";
import { type Route, route } from "../rpc/route.ts";
import type { SandboxedFiles } from "./handler.ts";
import type { FileHandles } from "./handles.ts";
import { type OpenMode, withEnd } from "./open_file.ts";
import type { SandboxMemory } from "./sandbox_memory.ts";
import type { BasicFiles } from "./streams.ts";
import type { FilePath, OpenFile } from "./trait.ts";
import { BlockAnswer, writeBlockOfFrame } from "./wire_block.ts";
import { openOverWire } from "./wire_file.ts";

/** What a file in a sandbox is opened through: the helper, which stays as long as the file is open. */
export interface HeldHelper {
  readonly caller: Caller;
  /** May be called more than once. */
  release(): void;
}

/**
 * The routes of open files. All are ordinary: they begin in the order in which they came, so that a client may send
 * blocks and the `fs/close` behind them without waiting.
 */
export function handleRoutes(
  files: Pick<BasicFiles, "open">,
  sandboxed: SandboxedFiles | undefined,
  handles: FileHandles,
  memory: SandboxMemory,
): Route[] {
  return [
    {
      method: FsOpen,
      lane: "ordinary",
      prepare(rawParams) {
        const { params: { handleId, path, mode }, sandbox } = memory.decode(FsOpen, rawParams);
        return async ({ signal }) => {
          await handles.of(signal).open(handleId, async () => {
            const helper = await sandboxed?.hold(sandbox, signal);
            return helper ? await openInside(helper, path, mode) : await files.open(path, { mode, signal });
          });
          return { handleId } satisfies v.InferInput<typeof FsOpen.result>;
        };
      },
    },
    route(FsReadBlock, async ({ handleId, offset, len }, { signal }) => {
      const bytes = await handles.of(signal).read(handleId, offset, len);
      return new BlockAnswer(bytes, bytes.length < len);
    }),
    route(
      FsWriteBlock,
      async ({ handleId, offset, chunk }, { signal }) => {
        await handles.of(signal).write(handleId, offset, chunk);
        return {};
      },
      "ordinary",
      writeBlockOfFrame,
    ),
    route(FsClose, async ({ handleId, commit }, { signal }) => {
      await handles.of(signal).close(handleId, commit);
      return {};
    }),
  ];
}

/** Opens a file inside. It is the helper's, and so bound by the policy for which that one was started. */
export async function openInside(helper: HeldHelper, path: FilePath, mode: OpenMode): Promise<OpenFile> {
  try {
    const file = await openOverWire(helper.caller, randomUUID().replaceAll("-", ""), path, mode);
    return withEnd(file, helper.release);
  } catch (error) {
    helper.release();
    throw error;
  }
}
