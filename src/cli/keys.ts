/** Keys on their way to a process. */
import { type Deferred, deferred } from "../runtime/deferred.ts";

/**
 * What may wait. Reading our terminal goes on meanwhile, so that `~.` works while the server is out of reach; beyond
 * this whoever pastes has to wait.
 */
const MAX_WAITING_BYTES = 1024 * 1024;

/** A bounded queue of keys. */
export interface Keys {
  /** Takes keys; resolves when there is room for more. What comes after the end of the process is dropped. */
  push(keys: Uint8Array): Promise<void>;
}

/** Keys for a process's input. */
export function keysFor(stdin: WritableStream<Uint8Array>): Keys {
  const writer = stdin.getWriter();
  writer.closed.catch(() => {}); // each write tells
  let waiting: Uint8Array[] = [];
  let bytes = 0;
  let room: Deferred<void> | undefined;
  let writing = false;
  let ended = false;

  const write = async () => {
    if (writing) return;
    writing = true;
    while (bytes > 0) {
      const keys = joined(waiting, bytes);
      waiting = [];
      bytes = 0;
      room?.resolve();
      room = undefined;
      try {
        if (!ended) await writer.write(keys);
      } catch {
        ended = true;
      }
    }
    writing = false;
  };

  return {
    async push(keys) {
      waiting.push(keys);
      bytes += keys.length;
      void write();
      if (bytes >= MAX_WAITING_BYTES) await (room ??= deferred()).promise;
    },
  };
}

function joined(pieces: readonly Uint8Array[], bytes: number): Uint8Array {
  const [only] = pieces;
  if (only && pieces.length === 1) return only;
  const all = new Uint8Array(bytes);
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return all;
}
