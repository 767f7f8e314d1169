/** Reading a terminal's master under Node and Deno. */
import { Buffer } from "node:buffer";
import { readSync } from "node:fs";
import type { ReadStream } from "node:tty";
import type { ByteSource } from "./child.ts";
import { runtime } from "./detect.ts";
import { streamSource } from "./stream_source_node.ts";

const DRAIN_BYTES = 64 * 1024;

/** Reads the stream, which owns the descriptor `fd`. An error is the end: EIO, nobody has the terminal open any more. */
export function terminalSource(stream: ReadStream, fd: number): ByteSource {
  return streamSource(stream, () => {
    const rest = runtime === "node" ? drain(fd) : [];
    stream.destroy();
    return rest;
  });
}

/** Node 20's libuv takes a hang-up for the end after any short read: what the kernel still has is read here. */
function drain(fd: number): Uint8Array[] {
  const rest: Uint8Array[] = [];
  for (;;) {
    const chunk = Buffer.allocUnsafe(DRAIN_BYTES);
    try {
      const count = readSync(fd, chunk);
      if (count === 0) return rest;
      rest.push(chunk.subarray(0, count));
    } catch {
      return rest; // EIO: the end
    }
  }
}
