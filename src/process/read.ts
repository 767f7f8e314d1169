/** `process/read`: a window of the log, now or when something happens. */
import { MAX_READ_ANSWER_BYTES, MAX_TIMER_MS } from "../protocol/limits.ts";
import type { LogView } from "./output_log.ts";
import type { ProcessEvent } from "./trait.ts";

/** Where to read, how much, and how long to wait. */
export interface ReadWindow {
  /** Sequence number after which to begin. */
  readonly afterSeq: number;
  /** Stop before the chunk that would exceed it; the first chunk always fits. Undefined: all. */
  readonly maxBytes?: number | undefined;
  /** Milliseconds to wait when there is nothing to tell. */
  readonly waitMs?: number | undefined;
  /** Ends the wait. */
  readonly signal?: AbortSignal | undefined;
}

/** A piece of output. */
export type OutputEvent = Extract<ProcessEvent, { type: "output" }>;

/** What was there. */
export interface ReadResult<T> {
  readonly chunks: readonly T[];
  /** The next read begins after the number before this one. */
  readonly nextSeq: number;
  /** Events after `afterSeq` that are no longer retained. */
  readonly lost: { readonly fromSeq: number; readonly toSeq: number } | undefined;
}

/**
 * Reads at once when there is something new to tell, else waits.
 * @param take makes of each chunk what the caller wants; the chunk's bytes are not valid after it
 * @throws the signal's reason
 */
export async function readLog<T>(
  log: LogView,
  window: ReadWindow,
  take: (chunk: OutputEvent) => T,
): Promise<ReadResult<T>> {
  if (!hasNews(log, window.afterSeq) && window.waitMs) {
    await news(log, window.afterSeq, window.waitMs, window.signal);
  }
  const chunks: T[] = [];
  const { firstSeq } = log;
  const lost = firstSeq > window.afterSeq + 1
    ? { fromSeq: window.afterSeq + 1, toSeq: firstSeq - 1 }
    : undefined;
  let bytes = 0;
  let lastTaken = 0;
  let isCut = window.maxBytes !== undefined;
  for (let event = log.next(window.afterSeq); event !== undefined; event = log.next(event.seq)) {
    if (event.type !== "output") continue;
    bytes += event.bytes.length;
    if (bytes > (window.maxBytes ?? MAX_READ_ANSWER_BYTES) && chunks.length > 0) {
      isCut = true;
      break;
    }
    chunks.push(take(event));
    lastTaken = event.seq;
  }
  return { chunks, nextSeq: (isCut && chunks.length > 0 ? lastTaken : log.lastSeq) + 1, lost };
}

function hasNews(log: LogView, afterSeq: number): boolean {
  return log.closed || log.lastSeq > afterSeq;
}

function news(
  log: LogView,
  afterSeq: number,
  waitMs: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const finish = (end: () => void) => {
      clearTimeout(timer);
      unsubscribe();
      signal?.removeEventListener("abort", abort);
      end();
    };
    const abort = () => finish(() => reject(signal?.reason));
    const unsubscribe = log.subscribe(() => {
      if (hasNews(log, afterSeq)) finish(resolve);
    });
    const timer = setTimeout(() => finish(resolve), Math.min(waitMs, MAX_TIMER_MS));
    if (signal?.aborted) abort();
    else signal?.addEventListener("abort", abort);
  });
}
