/** Anonymous pipes under Bun: its own spawn gives children sockets, on which `echo x > /dev/stderr` fails (ENXIO). */
import { closeSync, constants, openSync, readSync, writeSync } from "node:fs";
import { bun, libc, ptr } from "./bun.ts";
import type { ByteSink, ByteSource } from "./child.ts";
import { errorCode } from "./coded_error.ts";

const O_CLOEXEC = 0o2000000; // Linux, all architectures that Bun has (fcntl.h)
const O_WRONLY_NONBLOCK = 0o1 | 0o4000;
const F_SETFL = 4;
const POLLIN = 1;
const ABANDON_READ_BYTES = 64 * 1024;

/** A pipe whose ends are not inherited by accident. @throws an error with code EMFILE when there is no room for it */
export function openPipe(): { readEnd: number; writeEnd: number } {
  const fds = new Int32Array(2);
  if (libc.pipe2(ptr(fds), O_CLOEXEC) !== 0) {
    throw Object.assign(new Error("pipe2 failed: too many open files"), { code: "EMFILE" });
  }
  const [readEnd, writeEnd] = fds;
  if (readEnd === undefined || writeEnd === undefined) {
    throw new Error("unreachable: two descriptors were made");
  }
  return { readEnd, writeEnd };
}

/** Lets writes to a descriptor fail with EAGAIN instead of waiting. */
export function setNonBlocking(fd: number): void {
  libc.fcntl(fd, F_SETFL, O_WRONLY_NONBLOCK);
}

/**
 * Reads a pipe's read end; owns the descriptor. Bun's stream reads from a duplicate, which it closes itself.
 * @throws an error with the code EMFILE
 */
export function pipeSource(fd: number): ByteSource {
  return descriptorSource(fd, { endsWithError: false, closed() {} });
}

/**
 * Reads any descriptor; owns it.
 * @param how.endsWithError a failed read is the end, as EIO is of a terminal
 * @param how.closed called when the descriptor is about to be closed
 */
export function descriptorSource(
  fd: number,
  how: { readonly endsWithError: boolean; readonly closed: () => void },
): ByteSource {
  const reader = bun.file(fd).stream().getReader();
  const pollfd = new Int32Array([fd, POLLIN]);
  let open = true;
  let waiting = false;
  const close = () => {
    if (!open) return;
    open = false;
    reader.cancel().catch(() => {});
    how.closed();
    closeSync(fd);
  };
  return {
    async read() {
      if (!open) return null;
      waiting = true;
      try {
        const { done, value } = await reader.read();
        if (!done && value !== undefined) return value;
      } catch (error) {
        if (!how.endsWithError) throw error;
      } finally {
        waiting = false;
      }
      close();
      return null;
    },
    mayHaveMore() {
      if (!open) return false;
      pollfd[1] = POLLIN;
      return !waiting || libc.poll(ptr(pollfd), 1, 0) !== 0;
    },
    close,
  };
}

/** Writes a pipe's write end; owns the descriptor. */
export function pipeSink(fd: number): ByteSink {
  setNonBlocking(fd);
  const sink = bun.file(fd).writer(); // has a duplicate of the descriptor, which end() closes
  let open = true;
  let writing = false;
  const close = () => {
    if (!open) return;
    open = false;
    Promise.resolve(sink.end()).catch(() => {}); // EPIPE: nobody reads any more, which is fine at the end
    if (writing) abandon(fd, () => writing).finally(() => closeSync(fd));
    else closeSync(fd);
  };
  return {
    async write(bytes) {
      if (!open) throw Object.assign(new Error("write EPIPE"), { code: "EPIPE" });
      const rest = bytes.subarray(writeNow(fd, bytes));
      if (rest.length === 0) return;
      writing = true;
      try {
        const written = sink.write(rest);
        if (typeof written !== "number") await written;
        const flushed = sink.flush();
        if (typeof flushed !== "number") await flushed;
      } finally {
        writing = false;
      }
    },
    close,
    destroy: close,
  };
}

/** What a pipe takes at once, which is mostly all: the sink would look twice whether there is room. @returns bytes */
function writeNow(fd: number, bytes: Uint8Array): number {
  try {
    return writeSync(fd, bytes);
  } catch (error) {
    if (errorCode(error) === "EAGAIN") return 0;
    throw error;
  }
}

/**
 * Ends a write that waits for a reader who never reads, such as a descendant that outlived a killed process: reads
 * the pipe empty ourselves, through a read end of our own, until the kernel has taken all of it.
 */
async function abandon(fd: number, writing: () => boolean): Promise<void> {
  const scratch = new Uint8Array(ABANDON_READ_BYTES);
  let readEnd: number;
  try {
    readEnd = openSync(`/proc/self/fd/${fd}`, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch {
    return; // no /proc: the descriptor stays until its reader ends
  }
  while (writing()) {
    try {
      readSync(readEnd, scratch);
    } catch {
      // EAGAIN: empty just now
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
  closeSync(readEnd);
}
