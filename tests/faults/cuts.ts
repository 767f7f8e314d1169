/** Cuts at random places of a stream. */
import type { Direction, Proxy } from "./proxy.ts";
import type { Random } from "./random.ts";

/** A series of cuts. */
export interface Cuts {
  /** How many have happened. */
  readonly done: number;
  /** No more cuts. */
  stop(): void;
}

/**
 * Cuts the connections of a proxy at random places among so many bytes; in the middle of frames, and now and then
 * while the client is just back. Some cuts are resets, some ends; some find nobody listening for a moment after.
 */
export function cutAtRandom(
  proxy: Proxy,
  random: Random,
  options: { readonly cuts: number; readonly bytes: number; readonly direction: Direction },
): Cuts {
  const places = Array.from({ length: options.cuts }, () => random.below(options.bytes)).sort((a, b) =>
    a - b
  );
  let done = 0;
  let stopped = false;
  const run = async () => {
    let before = 0;
    for (const place of places) {
      const gap = place - before;
      before = place;
      await proxy.cutAfter(gap, options.direction, random.pick("cut", "cut", "close"));
      done++;
      if (stopped) return;
      if (random.below(4) > 0) continue;
      proxy.refuse(true);
      await new Promise((wake) => setTimeout(wake, random.below(150)));
      proxy.refuse(false);
    }
  };
  void run();
  return {
    get done() {
      return done;
    },
    stop: () => void (stopped = true),
  };
}
