/** Reading a terminal's master under Node and Deno. */
import { Buffer } from "node:buffer";
import { readSync } from "node:fs";
import type { ReadStream } from "node:tty";
import type { ByteSource } from "./child.ts";
import { runtime } from "./detect.ts";

const DRAIN_BYTES = 64 * 1024;

/** Reads the stream, which owns the descriptor `fd`. With `readable` and `read()`, so that nothing flows unasked. */
export function terminalSource(stream: ReadStream, fd: number): ByteSource {
  const rest: Uint8Array[] = [];
  let ended = false;
  let readable = false;
  let wake: (() => void) | undefined;
  const notify = () => {
    const waiting = wake;
    wake = undefined;
    waiting?.();
  };
  stream.on("readable", () => {
    readable = true;
    notify();
  });
  stream.on("end", () => {
    if (!ended && runtime === "node") drain(fd, rest);
    ended = true;
    stream.destroy();
    notify();
  });
  for (const event of ["close", "error"]) { // EIO: nobody has the terminal open any more
    stream.on(event, () => {
      ended = true;
      notify();
    });
  }
  return {
    async read() {
      for (;;) {
        const chunk: unknown = stream.read() ?? rest.shift();
        if (chunk instanceof Uint8Array) return chunk;
        readable = false;
        if (ended || stream.destroyed) return null;
        await new Promise<void>((resolve) => wake = resolve);
      }
    },
    mayHaveMore: () =>
      rest.length > 0 || (!ended && (readable || wake === undefined || stream.readableLength > 0)),
    close() {
      ended = true;
      rest.length = 0;
      stream.destroy();
      notify();
    },
  };
}

/** Node 20's libuv takes a hang-up for the end after any short read: what the kernel still has is read here. */
function drain(fd: number, rest: Uint8Array[]): void {
  for (;;) {
    const chunk = Buffer.allocUnsafe(DRAIN_BYTES);
    try {
      const count = readSync(fd, chunk);
      if (count === 0) return;
      rest.push(chunk.subarray(0, count));
    } catch {
      return; // EIO: the end
    }
  }
}
