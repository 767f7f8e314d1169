/** Waits between attempts to reach a server again: 0, then from 100 ms to 2 s, jittered so that clients spread. */
const FIRST_MS = 100;
const MOST_MS = 2_000;

/** How long to wait before an attempt (0 is the first), in ms. */
export function backoffMs(attempt: number): number {
  if (attempt === 0) return 0;
  const full = Math.min(FIRST_MS * 2 ** (attempt - 1), MOST_MS);
  return full / 2 + Math.random() * full / 2;
}
