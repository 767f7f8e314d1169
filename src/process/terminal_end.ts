/**
 * The end of a terminal's input. A terminal has none: there is a character that ends one read, and whoever reads again
 * waits for more. So it is typed again whenever it has been read.
 */
import type { ByteSink } from "../runtime/child.ts";
import type { TerminalInput } from "../runtime/terminal.ts";

/** End-of-file as it is typed: Ctrl-D, VEOF of termios(3) unless a program has changed it. */
export const END_OF_FILE = 4;

/** The first look whether it has been read; each further one comes after twice the time. */
const FIRST_LOOK_MS = 10;
/** There is no event for it. A program that has not read it for long may read it so much later. */
const LAST_LOOK_MS = 250;
/**
 * Who reads key by key gets a key that may mean anything to it, and where nobody can tell whether it was read there may
 * be many: not more often than this.
 */
const LAST_BLIND_MS = 1_000;

/**
 * Types the end of the input, and goes on with that until `stop` or until the terminal is gone.
 * @param characters how many it takes at first
 * @param unread what its reader finds; undefined where that cannot be known
 */
export function keepAtEnd(
  sink: ByteSink,
  characters: number,
  unread: (() => TerminalInput) | undefined,
): { readonly stop: () => void } {
  let stopped = false;
  let timer: NodeJS.Timeout | undefined;
  let pauseMs = FIRST_LOOK_MS;
  const type = (count: number) => sink.write(new Uint8Array(count).fill(END_OF_FILE)).then(next, () => {}); // the terminal is gone
  const next = () => {
    if (stopped) return;
    timer = setTimeout(look, pauseMs);
    timer.unref();
  };
  const look = () => {
    const found = unread?.();
    const isRead = found !== undefined && !found.some && found.byLine;
    const mostMs = found?.some ? LAST_LOOK_MS : LAST_BLIND_MS;
    pauseMs = isRead ? FIRST_LOOK_MS : Math.min(2 * pauseMs, mostMs);
    if (found?.some) next();
    else void type(1);
  };
  void type(characters);
  return {
    stop() {
      stopped = true;
      clearTimeout(timer);
    },
  };
}
