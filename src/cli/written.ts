import type { Writable } from "node:stream";

/** Writes; resolves when the stream has taken it, or failed: whoever wants to know of a failure listens for `error`. */
export async function written(to: Writable, data: Uint8Array | string): Promise<void> {
  if (data.length === 0) return;
  await new Promise<void>((resolve) => to.write(data, () => resolve()));
}
