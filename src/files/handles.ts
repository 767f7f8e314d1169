/** The files that connections have open (`fs/open`), by the ids that their clients have chosen. */
import { Buffer } from "node:buffer";
import { ExecServerError, invalidRequest, RpcCode } from "../protocol/error.ts";
import { MAX_HANDLE_ID_BYTES } from "../protocol/limits.ts";
import { clip } from "../protocol/quote.ts";
import { requireReadLength, requireWriteLength } from "./block.ts";
import type { OpenFile } from "./trait.ts";

/** How long closing may take when everything ends, in ms: a dead network file system never answers. */
const CLOSE_LIMIT_MS = 1_000;

/** The open files of one connection. They are closed when it ends, also those that are only being opened. */
export interface ConnectionHandles {
  /** Takes the id at once, then opens. @throws ExecServerError `INVALID_REQUEST`; or what opening fails with */
  open(handleId: string, open: () => Promise<OpenFile>): Promise<void>;
  /** A block. What fails in the operating system closes the handle. */
  read(handleId: string, offset: number, length: number): Promise<Uint8Array>;
  /** Writes a block. */
  write(handleId: string, offset: number, bytes: Uint8Array): Promise<void>;
  /** Frees the id at once, then closes. Only a commit needs a handle that is known. */
  close(handleId: string, commit: boolean): Promise<void>;
}

/** The open files of all connections. */
export interface FileHandles {
  /** Those of a connection. @param connection aborted when it ends */
  of(connection: AbortSignal): ConnectionHandles;
  /** Closes all. Resolves when that is done, or takes too long. */
  close(): Promise<void>;
}

/** A file that is open, or being opened. */
interface Open {
  readonly opened: Promise<OpenFile>;
  /** What is being read and written. */
  readonly uses: Set<Promise<unknown>>;
}

/** No open files yet. @param most that one connection may have open */
export function createFileHandles(most: number): FileHandles {
  const known = new WeakMap<AbortSignal, ConnectionHandles>();
  const ends = new Set<() => void>();
  const closing = new Set<Promise<void>>();
  const letGo = ({ opened }: Open) => {
    const gone = opened.then((file) => file.close()).catch(() => {}).finally(() => closing.delete(gone));
    closing.add(gone);
  };
  return {
    of(connection) {
      const found = known.get(connection);
      if (found) return found;
      const files = new Map<string, Open>();
      const end = () => {
        for (const file of files.values()) letGo(file);
        files.clear();
      };
      ends.add(end);
      connection.addEventListener("abort", () => {
        ends.delete(end);
        end();
      }, { once: true });
      const made = handlesIn(files, letGo, connection, most);
      known.set(connection, made);
      return made;
    },
    async close() {
      for (const end of ends) end();
      await closedInTime(closing);
    },
  };
}

/** Waits until files are closed, or that takes too long. */
export async function closedInTime(closing: Iterable<Promise<unknown>>): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<void>((resolve) => timer = setTimeout(resolve, CLOSE_LIMIT_MS));
  await Promise.race([Promise.allSettled(closing), late]);
  clearTimeout(timer);
}

function handlesIn(
  files: Map<string, Open>,
  letGo: (file: Open) => void,
  connection: AbortSignal,
  most: number,
): ConnectionHandles {
  const forget = (handleId: string, file: Open) => {
    if (files.get(handleId) === file) files.delete(handleId);
  };
  /** Counts as a use from now on; requests that follow an `fs/open` at once wait for it. */
  const use = async <T>(handleId: string, work: (file: OpenFile, open: Open) => Promise<T>): Promise<T> => {
    const open = files.get(handleId);
    if (!open) throw unknown(handleId);
    const one = open.opened.catch(() => {
      throw unknown(handleId);
    }).then((file) => work(file, open));
    open.uses.add(one);
    try {
      return await one;
    } finally {
      open.uses.delete(one);
    }
  };
  return {
    async open(handleId, open) {
      if (Buffer.byteLength(handleId) > MAX_HANDLE_ID_BYTES) {
        throw invalidRequest(`file handle ID must not exceed ${MAX_HANDLE_ID_BYTES} bytes`);
      }
      if (files.has(handleId)) throw invalidRequest(`file handle \`${handleId}\` already exists`);
      if (files.size >= most) {
        throw invalidRequest(`at most ${most} file handles may be open per connection`);
      }
      connection.throwIfAborted();
      const file: Open = { opened: open(), uses: new Set() };
      files.set(handleId, file);
      try {
        await file.opened;
      } catch (error) {
        forget(handleId, file);
        throw error;
      }
    },
    async read(handleId, offset, length) {
      requireReadLength(length);
      return await use(handleId, async (file, open) => {
        try {
          return await file.read(offset, length);
        } catch (error) {
          forget(handleId, open);
          letGo(open);
          throw error;
        }
      });
    },
    async write(handleId, offset, bytes) {
      requireWriteLength(bytes.length);
      await use(handleId, (file) => file.write(offset, bytes));
    },
    async close(handleId, commit) {
      const open = files.get(handleId);
      files.delete(handleId);
      const file = await open?.opened.catch(() => undefined);
      if (commit && !file) throw unknown(handleId);
      await Promise.allSettled(open?.uses ?? []);
      await (commit ? file?.commit() : file?.close());
    },
  };
}

function unknown(handleId: string): ExecServerError {
  return new ExecServerError("HANDLE_LOST", `unknown file handle \`${clip(handleId)}\``, {
    rpcCode: RpcCode.notFound,
  });
}
