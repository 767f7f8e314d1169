/** Keeps the size of a process's terminal that of ours. */
import { setTimeout as delay } from "node:timers/promises";
import type { Process, TerminalSize } from "../process/trait.ts";

/** Between the two sizes of a redraw: a program that sees only the second would find nothing changed. */
const WIGGLE_MS = 100;

/** Sizes on their way to a process. */
export interface SizeFollower {
  /** Our terminal may have changed. */
  changed(): void;
  /** Makes a full-screen program paint everything: its terminal gets another size for a moment. */
  redraw(): void;
}

/** @param size that of our terminal */
export function followSize(started: Process, size: () => TerminalSize | undefined): SizeFollower {
  let redraw = false;
  let again = false;
  let running = false;

  const run = async () => {
    if (running) return;
    running = true;
    while (again) {
      const wiggle = redraw;
      again = redraw = false;
      const now = size();
      if (!now) continue;
      try {
        if (wiggle) {
          await started.resize({ ...now, rows: now.rows > 1 ? now.rows - 1 : 2 });
          await delay(WIGGLE_MS);
        }
        await started.resize(size() ?? now);
      } catch {
        // it has ended, or the server cannot
      }
    }
    running = false;
  };

  const ask = (wiggle: boolean) => {
    redraw ||= wiggle;
    again = true;
    void run();
  };
  return { changed: () => ask(false), redraw: () => ask(true) };
}
