/** An open file at the other end of a wire: of a server, or of the helper in a sandbox. */
import { ExecServerError, osError } from "../protocol/error.ts";
import { FsClose, FsOpen, FsReadBlock, FsWriteBlock } from "../protocol/files.ts";
import type { Caller } from "../rpc/caller.ts";
import { sandboxOnWire } from "../sandbox/on_wire.ts";
import type { Sandbox } from "../sandbox/trait.ts";
import { requireReadLength, requireWriteLength } from "./block.ts";
import { pathUri } from "./native_path.ts";
import type { OpenMode } from "./open_file.ts";
import type { FilePath, OpenFile } from "./trait.ts";
import { writeBlockRequest } from "./wire_block.ts";

/**
 * Opens a file there.
 * @param handleId not used before with this caller
 * @param sandbox for a server that shall open it in one
 */
export async function openOverWire(
  caller: Caller,
  handleId: string,
  path: FilePath,
  mode: OpenMode,
  sandbox?: Sandbox,
): Promise<OpenFile> {
  const asked = sandbox && { sandbox: sandboxOnWire(sandbox) };
  await caller.call(FsOpen, { handleId, path: pathUri(path), mode, ...asked });
  let ended: Promise<void> | undefined;
  const end = (commit: boolean) =>
    ended ??= caller.call(FsClose, { handleId, ...(commit && { commit }) }).then(() => {});
  const requireOpen = () => {
    if (ended) throw osError("EBADF");
  };
  return {
    async read(offset, length) {
      requireOpen();
      requireReadLength(length);
      const { chunk } = await caller.call(FsReadBlock, { handleId, offset, len: length });
      if (chunk.length > length) {
        throw new ExecServerError("PROTOCOL_VIOLATION", "fs/readBlock: more bytes than asked for");
      }
      return chunk;
    },
    async write(offset, bytes) {
      requireOpen();
      requireWriteLength(bytes.length);
      await caller.call(FsWriteBlock, writeBlockRequest(handleId, offset, bytes));
    },
    commit: () => end(true),
    close: () => end(false),
    [Symbol.asyncDispose]: () => end(false),
  };
}
