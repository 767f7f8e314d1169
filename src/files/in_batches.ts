/** Operations of one batch: enough to keep the threads of `node:fs` busy, few enough to hold no mass of promises. */
const BATCH = 64;

/** Applies an operation to every item, some of them at the same time; the results keep the order. */
export async function inBatches<T, R>(
  items: readonly T[],
  work: (item: T) => Promise<R>,
  signal?: AbortSignal,
): Promise<R[]> {
  const results: R[] = [];
  for (let at = 0; at < items.length; at += BATCH) {
    signal?.throwIfAborted();
    results.push(...await Promise.all(items.slice(at, at + BATCH).map(work)));
  }
  return results;
}
