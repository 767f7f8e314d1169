/** Writing to a terminal's master, which is non-blocking in every runtime. */
import type { ByteSink } from "./child.ts";
import { codedError } from "./coded_error.ts";

/** A full terminal is tried again after this time, then after twice as long each time, up to the last. */
const FIRST_PAUSE_MS = 1;
const LAST_PAUSE_MS = 50;

/** Hands bytes to the kernel: how many it took, 0 when the terminal is full. Throws when the terminal is gone. */
export type TakeBytes = (bytes: Uint8Array) => number;

/**
 * A sink on top of {@link TakeBytes}. Writes keep their order. There is no event to wait for when a terminal is full:
 * its descriptor is already polled for reading, and the runtimes' own writers lose bytes or stop for good (Deno).
 */
export function terminalSink(take: TakeBytes): ByteSink {
  let open = true;
  let last: Promise<unknown> = Promise.resolve();
  let wake: (() => void) | undefined;

  const pause = (milliseconds: number) =>
    new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });

  const send = async (bytes: Uint8Array) => {
    let wait = FIRST_PAUSE_MS;
    for (let rest = bytes;;) {
      if (!open) throw codedError("EPIPE", "the terminal is closed");
      if (rest.length === 0) return;
      const taken = take(rest);
      if (taken > 0) {
        rest = rest.subarray(taken);
        wait = FIRST_PAUSE_MS;
      } else {
        await pause(wait);
        wait = Math.min(wait * 2, LAST_PAUSE_MS);
      }
    }
  };

  const stop = () => {
    open = false;
    wake?.();
  };
  return {
    write(bytes) {
      const sent = last.then(() => send(bytes));
      last = sent.catch(() => {});
      return sent;
    },
    close: stop,
    destroy: stop,
  };
}
