/**
 * The output of one process: the one owner of sequence numbers and of retention. Producers append; every reader
 * (push, `process/read`, a stream of the handle) walks it by sequence number. There is no second buffer.
 */
import type { ExecServerError } from "../protocol/error.ts";
import { type Deferred, deferred } from "../runtime/deferred.ts";
import { createByteStore, type StoredBytes } from "./byte_store.ts";
import type { OutputStream, ProcessEvent } from "./trait.ts";

/** Delivered output that stays readable: as much as the reference server keeps. */
export const RETAINED_BYTES = 1024 * 1024;
/** Undelivered output above which producers have to wait. */
export const UNDELIVERED_HIGH_WATER_BYTES = 1024 * 1024;

/** Delivered events that stay readable: a program that writes single bytes must not cost 100 bytes for each. */
export const RETAINED_EVENTS = 16_384;
/** Undelivered events above which producers have to wait. */
export const UNDELIVERED_HIGH_WATER_EVENTS = 16_384;

interface Entry {
  readonly event: ProcessEvent;
  readonly stored: StoredBytes | undefined;
}

/** The log of one process. */
export interface OutputLog {
  /** Sequence number of the newest event; 0 before the first. */
  readonly lastSeq: number;
  /** Set once the leader has exited. */
  readonly exitCode: number | undefined;
  /** Set once nothing more will come. */
  readonly closed: boolean;
  /** Set when the rest cannot be had any more: the connection to the process is lost for good. */
  readonly failure: ExecServerError | undefined;
  /** Everything up to this number has reached whoever it was for. */
  readonly deliveredSeq: number;
  /** Bytes of output that have not. */
  readonly undeliveredBytes: number;
  /** Adds output as one event; at most 64 KiB. */
  append(stream: OutputStream, bytes: Uint8Array): void;
  /** Adds the exit of the leader. */
  appendExited(exitCode: number): void;
  /** Adds the end. */
  appendClosed(): void;
  /** Adds nothing more: tells the readers why. */
  fail(reason: ExecServerError): void;
  /**
   * The first retained event after a sequence number. Its bytes are the log's memory: valid until the caller returns
   * to the event loop or marks something as delivered, so encode or copy them at once.
   */
  next(afterSeq: number): ProcessEvent | undefined;
  /** Says that events `from` to `to` have reached their reader; counts when nothing before `from` is missing. */
  markDelivered(from: number, to: number): void;
  /** Undefined when there is room for more; else resolves when there is. */
  room(): Promise<void> | undefined;
  /** Calls back, synchronously, after every added event. Returns the end of it. */
  subscribe(listener: () => void): () => void;
}

/** An empty log. */
export function createOutputLog(): OutputLog {
  const store = createByteStore();
  let events: Entry[] = [];
  let head = 0; // events before it are dropped; the array is cut now and then
  let lastSeq = 0;
  let deliveredSeq = 0;
  let retainedBytes = 0;
  let undeliveredBytes = 0;
  let exitCode: number | undefined;
  let closed = false;
  let failure: ExecServerError | undefined;
  let waiting: Deferred<void> | undefined;
  const listeners = new Set<() => void>();

  const add = (event: ProcessEvent, stored?: StoredBytes) => {
    events.push({ event, stored });
    lastSeq = event.seq;
    if (stored) {
      retainedBytes += stored.bytes.length;
      undeliveredBytes += stored.bytes.length;
    }
    for (const listener of listeners) listener();
    trim();
  };

  const trim = () => {
    for (;;) {
      const oldest = events[head];
      if (oldest === undefined || oldest.event.seq > deliveredSeq) break;
      if (retainedBytes <= RETAINED_BYTES && events.length - head <= RETAINED_EVENTS) break;
      if (oldest.stored) retainedBytes -= oldest.stored.bytes.length;
      oldest.stored?.release();
      head++;
    }
    if (head > 1024 || head === events.length) {
      events = events.slice(head);
      head = 0;
    }
  };

  /** Index of the first retained event after `seq`; they are gapless, so it is arithmetic. */
  const indexAfter = (seq: number) => {
    const oldest = events[head];
    return oldest === undefined ? events.length : Math.max(head, head + seq + 1 - oldest.event.seq);
  };

  const full = () =>
    undeliveredBytes >= UNDELIVERED_HIGH_WATER_BYTES ||
    lastSeq - deliveredSeq >= UNDELIVERED_HIGH_WATER_EVENTS;

  return {
    get lastSeq() {
      return lastSeq;
    },
    get exitCode() {
      return exitCode;
    },
    get closed() {
      return closed;
    },
    get failure() {
      return failure;
    },
    get deliveredSeq() {
      return deliveredSeq;
    },
    get undeliveredBytes() {
      return undeliveredBytes;
    },
    append(stream, bytes) {
      const stored = store.put(bytes);
      add({ type: "output", seq: lastSeq + 1, stream, bytes: stored.bytes }, stored);
    },
    appendExited(code) {
      exitCode = code;
      add({ type: "exited", seq: lastSeq + 1, exitCode: code });
    },
    appendClosed() {
      closed = true;
      add({ type: "closed", seq: lastSeq + 1 });
    },
    fail(reason) {
      failure ??= reason;
      for (const listener of listeners) listener();
    },
    next: (afterSeq) => events[indexAfter(afterSeq)]?.event,
    markDelivered(from, to) {
      if (from > deliveredSeq + 1 || to <= deliveredSeq) return;
      for (let index = indexAfter(deliveredSeq); index < events.length; index++) {
        const entry = events[index];
        if (entry === undefined || entry.event.seq > to) break;
        if (entry.stored) undeliveredBytes -= entry.stored.bytes.length;
      }
      deliveredSeq = Math.min(to, lastSeq);
      trim();
      if (!full()) {
        waiting?.resolve(undefined);
        waiting = undefined;
      }
    },
    room() {
      if (!full()) return undefined;
      waiting ??= deferred();
      return waiting.promise;
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
}
