/** Reading streams under Node and Deno. */
import type { Readable } from "node:stream";
import type { ByteSource } from "./child.ts";

/**
 * Reads with `readable` and `read()`, so that nothing flows unasked: under a `data` listener a child's exit resumes a
 * paused stream and bytes are lost.
 * @param atEnd gives what is still to be read when the stream says that it has ended
 */
export function streamSource(stream: Readable, atEnd: () => Uint8Array[] = () => []): ByteSource {
  let rest: Uint8Array[] = [];
  let ended = false;
  let readable = false;
  let wake: (() => void) | undefined;
  const notify = () => {
    const waiting = wake;
    wake = undefined;
    waiting?.();
  };
  const end = () => {
    ended = true;
    notify();
  };
  stream.on("readable", () => {
    readable = true;
    notify();
  });
  stream.on("end", () => {
    if (!ended) rest = atEnd();
    end();
  });
  stream.on("close", end);
  stream.on("error", end);
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
      rest = [];
      stream.destroy();
      end();
    },
  };
}
