/** Opens files of a server. */
import { ExecServerError } from "../protocol/error.ts";
import { FsClose } from "../protocol/files.ts";
import type { Caller } from "../rpc/caller.ts";
import type { Sandbox } from "../sandbox/trait.ts";
import { opening, type OpenMode } from "./open_file.ts";
import type { BasicFiles } from "./streams.ts";
import type { FilePath, OpenFile } from "./trait.ts";
import { openWhole } from "./whole_file.ts";
import { openOverWire } from "./wire_file.ts";

/** A caller who knows what its server can do. */
export interface AbleCaller extends Caller {
  /** True when the server knows a capability. */
  can(capability: string): boolean;
}

/** Makes {@link BasicFiles.open}. @param whole for servers that have no open files, or none to be written to */
export function remoteOpen(
  caller: AbleCaller,
  whole: Pick<BasicFiles, "read" | "write">,
): BasicFiles["open"] {
  // Never used again, also not after a reconnect: a handle that is gone must not become another file.
  let lastId = 0;
  let known = true;
  const strict = withoutDoubt(caller);

  const open = async (path: FilePath, asked: OpenMode, sandbox: Sandbox | undefined): Promise<OpenFile> => {
    const mode = asked === "replaceOnCommit" && !caller.can("fileReplaceOnCommit") ? "replace" : asked;
    for (;;) {
      const isEnough = (mode === "read" || caller.can("fileWriteStreaming")) &&
        (sandbox === undefined || caller.can("sandboxedFileStreaming"));
      if (!known || !isEnough) {
        const file = {
          read: () => whole.read(path, { sandbox }),
          write: (bytes: Uint8Array) => whole.write(path, bytes, { sandbox }),
        };
        return await openWhole(file, asked);
      }
      try {
        return await openOverWire(strict, `f${++lastId}`, path, mode, sandbox);
      } catch (error) {
        const code = error instanceof ExecServerError && error.code;
        if (code === "METHOD_NOT_FOUND") known = false;
        // What was opened ended with the connection; reading changes nothing.
        else if (code !== "HANDLE_LOST" || mode !== "read") throw error;
      }
    }
  };
  return (path, { mode = "read", sandbox, signal } = {}) => opening(signal, () => open(path, mode, sandbox));
}

/** A block whose connection broke is lost with its handle, whatever became of it; only a commit leaves a doubt. */
function withoutDoubt(caller: Caller): Caller {
  return {
    async call(method, params, how) {
      try {
        return await caller.call(method, params, how);
      } catch (error) {
        if (!(error instanceof ExecServerError)) throw error;
        const isLost = error.code === "HANDLE_LOST" ||
          error.code === "UNKNOWN_OUTCOME" && method.name !== FsClose.name;
        if (!isLost) throw error;
        const text = "the connection broke, and the open file is gone with it: open it again";
        throw new ExecServerError("HANDLE_LOST", text, { cause: error });
      }
    },
  };
}
