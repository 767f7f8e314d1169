/** The files of this machine for a program that runs on it, also in a sandbox: that takes helpers, as in a server. */
import * as v from "valibot";
import { internalError } from "../protocol/error.ts";
import { isObject } from "../protocol/method.ts";
import type { SandboxContext } from "../protocol/sandbox.ts";
import { jsonParams } from "../rpc/caller.ts";
import type { Enforcement } from "../sandbox/enforcement.ts";
import { sandboxAsDecoded } from "../sandbox/on_wire.ts";
import { attempt } from "./attempt.ts";
import type { SandboxedFiles } from "./handler.ts";
import { closedInTime } from "./handles.ts";
import { localFiles } from "./local.ts";
import { openInside } from "./handle_routes.ts";
import { opening, withEnd } from "./open_file.ts";
import { remoteFiles } from "./remote.ts";
import type { AbleCaller } from "./remote_open.ts";
import { createSandboxedFiles, type SandboxedFilesOptions } from "./sandboxed.ts";
import { type BasicFiles, withStreams } from "./streams.ts";
import type { FileOptions, Files, OpenFile } from "./trait.ts";

/** Files, and the end of their helpers. */
export interface OwnFiles extends Files {
  /** Closes what is open, without a commit, and ends the helpers. Resolves when they are gone. */
  close(): Promise<void>;
}

/** The files of this machine, with the rights of this process or in the sandbox that an operation asks for. */
export function ownFiles(enforcement: Enforcement, options?: SandboxedFilesOptions): OwnFiles {
  const plain = localFiles();
  const sandboxed = createSandboxedFiles(enforcement, options);
  const closing = new AbortController();
  const fit = (asked: FileOptions | undefined) =>
    asked?.sandbox
      ? remoteFiles(helperCaller(sandboxed, sandboxAsDecoded(asked.sandbox), closing.signal))
      : plain;
  const open = new Set<Promise<OpenFile>>(); // and what is being opened
  const kept = (work: () => Promise<OpenFile>): Promise<OpenFile> => {
    const over = () => void open.delete(opened);
    const opened = work().then((file) => withEnd(file, over));
    open.add(opened);
    opened.catch(over);
    return opened;
  };
  const files: BasicFiles = {
    open: (path, { mode = "read", sandbox, signal } = {}) =>
      opening(signal, () =>
        kept(async () => {
          if (sandbox === undefined) return await plain.open(path, { mode });
          const helper = await sandboxed.hold(sandboxAsDecoded(sandbox), closing.signal);
          if (!helper) throw internalError("unreachable: a sandbox was asked for");
          return await openInside(helper, path, mode);
        })),
    read: async (path, asked) => await fit(asked).read(path, asked),
    write: async (path, data, asked) => await fit(asked).write(path, data, asked),
    stat: async (path, asked) => await fit(asked).stat(path, asked),
    mkdir: async (path, asked) => await fit(asked).mkdir(path, asked),
    canonicalize: async (path, asked) => await fit(asked).canonicalize(path, asked),
    list: async (path, asked) => await fit(asked).list(path, asked),
    walk: async (path, asked) => await fit(asked).walk(path, asked),
    remove: async (path, asked) => await fit(asked).remove(path, asked),
    copy: async (from, to, asked) => await fit(asked).copy(from, to, asked),
  };
  return {
    ...withStreams(files),
    async close() {
      closing.abort();
      await closedInTime([...open].map(async (opened) => (await opened).close())); // while there are helpers for it
      await sandboxed.close();
    },
  };
}

/** Sends requests to helpers with one policy. @param closing ends the helpers */
function helperCaller(sandboxed: SandboxedFiles, asked: SandboxContext, closing: AbortSignal): AbleCaller {
  return {
    can: () => false, // what stays open goes through `hold`
    async call(method, params, { signal } = {}) {
      const asWritten: unknown = jsonParams(params);
      if (!isObject(asWritten)) throw internalError("unreachable: file requests have params");
      const { sandbox: _, ...rest } = asWritten; // the helper decodes them
      const done = await attempt(signal, () => sandboxed.call(asked, method, rest, closing));
      if (!done) throw internalError("unreachable: a sandbox was asked for");
      return v.parse(method.result, done.result);
    },
  };
}
