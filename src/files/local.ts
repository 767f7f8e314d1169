/** The files of this machine. */
import { mkdir, realpath } from "node:fs/promises";
import { attempt } from "./attempt.ts";
import { bytesContent } from "./content.ts";
import { copyPath } from "./copy.ts";
import { withoutLinks } from "./directory_handle.ts";
import { statPath, statWithoutLinks } from "./file_stat.ts";
import { listDirectory } from "./list.ts";
import { makeDirectories, makeDirectoryWithoutLinks } from "./make_directory.ts";
import { fileUrl, nativeOf, nativePath } from "./native_path.ts";
import { openFile, opening } from "./open_file.ts";
import { readWhole } from "./read_file.ts";
import { removePath } from "./remove.ts";
import { replaceFile } from "./replace_file.ts";
import { withStreams } from "./streams.ts";
import type { WatchTemporary } from "./temporary_file.ts";
import type { Files, LinkOptions } from "./trait.ts";
import { walkTree } from "./walk.ts";

/** The files of this machine, with the rights of this process. @param watch is told of temporary files */
export function localFiles(watch?: WatchTemporary): Files {
  return withStreams({
    read: (path, options = {}) =>
      attempt(options.signal, () => {
        const native = nativePath(path);
        return follows(options)
          ? readWhole(native, true, options.signal)
          : withoutLinks(native, (entry) => readWhole(entry, false, options.signal));
      }),
    write: (path, data, options = {}) =>
      attempt(options.signal, () => {
        const native = nativePath(path);
        const content = bytesContent(data);
        const { signal } = options;
        return follows(options)
          ? replaceFile(native, content, { follow: true, signal, watch })
          : withoutLinks(native, (entry) => replaceFile(entry, content, { follow: false, signal, watch }));
      }),
    open: (path, { mode = "read", signal } = {}) =>
      opening(signal, async () => await openFile(nativePath(path), mode, true, watch)),
    stat: (path, options = {}) =>
      attempt(options.signal, () => {
        const native = nativePath(path);
        return follows(options) ? statPath(native) : statWithoutLinks(native);
      }),
    mkdir: (path, options = {}) =>
      attempt(options.signal, async () => {
        const native = nativePath(path);
        const recursive = options.recursive ?? true;
        if (!follows(options)) await makeDirectoryWithoutLinks(native, recursive);
        else if (recursive) await makeDirectories(native);
        else await mkdir(native);
      }),
    canonicalize: (path, options = {}) =>
      attempt(options.signal, async () => {
        return fileUrl(nativeOf(await realpath(nativePath(path), { encoding: "buffer" })));
      }),
    list: (path, options = {}) =>
      attempt(options.signal, () => listDirectory(nativePath(path), options.signal)),
    walk: (path, options = {}) =>
      attempt(options.signal, () => walkTree(nativePath(path), options, options.signal)),
    remove: (path, options = {}) =>
      attempt(options.signal, () =>
        removePath(nativePath(path), {
          recursive: options.recursive ?? false,
          force: options.force ?? false,
          follow: follows(options),
          signal: options.signal,
        })),
    copy: (from, to, options = {}) =>
      attempt(options.signal, () =>
        copyPath(nativePath(from), nativePath(to), {
          recursive: options.recursive ?? false,
          signal: options.signal,
          watch,
        })),
  });
}

function follows(options: LinkOptions): boolean {
  return options.followSymlinks ?? true;
}
