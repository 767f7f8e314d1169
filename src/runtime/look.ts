/** How to wait until a pipe has surely been read empty: what a runtime can know of it differs. */
import { runtime } from "./detect.ts";

/** Consecutive looks that must find nothing. Bun can ask the kernel, the others only see their own event loop. */
export const QUIET_LOOKS: number = runtime === "bun" ? 2 : 4;

/** The moment for the next look: after the event loop has had a turn to read. */
export function nextLook(): Promise<void> {
  return new Promise((resolve) => runtime === "bun" ? setImmediate(resolve) : setTimeout(resolve, 1));
}
