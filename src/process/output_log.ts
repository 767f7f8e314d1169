/**
 * The output of one process: the one owner of sequence numbers and of retention. Producers append; every reader
 * (push, `process/read`, a stream of the handle) walks it by sequence number. There is no second buffer.
 *
 * An event is *delivered* when its reader has said so. Delivered events are dropped first and only for room;
 * undelivered ones never (unless the operator chose so): when they fill their budget, {@link OutputLog.room} makes
 * the producer wait.
 */
import type { ExecServerError } from "../protocol/error.ts";
import { type Deferred, deferred } from "../runtime/deferred.ts";
import { BLOCK_BYTES, createByteStore, type StoredBytes } from "./byte_store.ts";
import {
  GUARANTEED_BYTES,
  MAX_ATTACHED_BYTES,
  MAX_ATTACHED_EVENTS,
  MAX_DETACHED_EVENTS,
  MEMORY_BYTES,
  type Retention,
} from "./retention.ts";
import { openSpillFile, type SpillFile } from "./spill_file.ts";
import type { OutputStream, ProcessEvent } from "./trait.ts";

/** The log of one process. */
export interface OutputLog {
  /** Sequence number of the newest event; 0 before the first. */
  readonly lastSeq: number;
  /** Sequence number of the oldest retained event; `lastSeq + 1` when there is none. */
  readonly firstSeq: number;
  /** Everything up to this number has reached whoever it was for. */
  readonly deliveredSeq: number;
  /** Bytes of output that have not. */
  readonly undeliveredBytes: number;
  /** Bytes of output ever added. */
  readonly receivedBytes: number;
  /** Number of the exit; undefined before it. */
  readonly exitSeq: number | undefined;
  /** Set once the leader has exited. */
  readonly exitCode: number | undefined;
  /** Set once nothing more will come. */
  readonly closed: boolean;
  /** Set when the rest cannot be had any more: the connection to the process is lost for good. */
  readonly failure: ExecServerError | undefined;
  /** Adds output: at most 64 KiB, joined to the newest event as long as nobody has seen that one. */
  append(stream: OutputStream, bytes: Uint8Array): void;
  /** Adds output as an event of its own, under the number it has elsewhere. */
  appendEvent(stream: OutputStream, bytes: Uint8Array): void;
  /** Adds the exit of the leader. */
  appendExited(exitCode: number): void;
  /** The exit is among what is lost: only its code is known. */
  learnExitCode(exitCode: number): void;
  /** Adds the end. */
  appendClosed(): void;
  /** Numbers up to `seq` are lost: the next event gets the one after it. */
  skipTo(seq: number): void;
  /** Adds nothing more: tells the readers why. */
  fail(reason: ExecServerError): void;
  /**
   * The first retained event after a sequence number. Its bytes are the log's memory: valid until the caller returns
   * to the event loop or calls any log, so encode or copy them at once.
   */
  next(afterSeq: number): ProcessEvent | undefined;
  /** Everything up to `seq` has been delivered. */
  deliver(seq: number): void;
  /** While nobody is attached, output goes to the spill file and the larger budget holds. */
  setAttached(attached: boolean): void;
  /** Undefined when there is room for more; else resolves when there is. */
  room(): Promise<void> | undefined;
  /** Calls back, synchronously, after every change that a reader may wait for. Returns the end of it. */
  subscribe(listener: () => void): () => void;
  /** Gives back memory and disk; nothing can be read afterwards. */
  dispose(): void;
}

interface Entry {
  readonly seq: number;
  readonly type: ProcessEvent["type"];
  readonly stream: OutputStream;
  readonly stored: StoredBytes | undefined;
}

/**
 * An empty log.
 * @param delivered called after the delivered number has grown
 */
export function createOutputLog(retention: Retention, delivered?: () => void): OutputLog {
  const store = createByteStore();
  const listeners = new Set<() => void>();
  let entries: Entry[] = [];
  let head = 0; // entries before it are dropped; the array is cut now and then
  let lastSeq = 0;
  let deliveredSeq = 0;
  let seenSeq = 0; // the newest event that was handed to a reader: it must not change any more
  let retainedBytes = 0;
  let undeliveredBytes = 0;
  let receivedBytes = 0;
  let attached = true;
  let exitCode: number | undefined;
  let exitSeq: number | undefined;
  let closed = false;
  let failure: ExecServerError | undefined;
  let waiting: Deferred<void> | undefined;
  let file: SpillFile | undefined;
  let diskFull = false;
  let disposed = false;

  const count = (bytes: number) => {
    retainedBytes += bytes;
    retention.shared.usedBytes += bytes;
  };

  const notify = () => {
    for (const listener of listeners) listener();
  };

  const add = (type: ProcessEvent["type"], stream: OutputStream, stored?: StoredBytes) => {
    entries.push({ seq: ++lastSeq, type, stream, stored });
    notify();
    makeRoom();
  };

  const grow = (bytes: number) => {
    count(bytes);
    undeliveredBytes += bytes;
    receivedBytes += bytes;
  };

  /** Drops delivered events for room, and undelivered ones where the operator wants that; spills the rest. */
  const makeRoom = () => {
    for (;;) {
      const oldest = entries[head];
      if (!oldest) break;
      const wanted = retainedBytes > MEMORY_BYTES || entries.length - head > MAX_ATTACHED_EVENTS;
      if (
        !(oldest.seq <= deliveredSeq ? wanted : retention.dropOldest && full() && oldest.type === "output")
      ) break;
      drop(oldest);
    }
    if (head > 1024 || head === entries.length) {
      entries = entries.slice(head);
      head = 0;
    }
    if (!attached && store.memoryBytes > MEMORY_BYTES && retention.spillFolder !== undefined && !diskFull) {
      spill(retention.spillFolder);
    }
  };

  const drop = (oldest: Entry) => {
    if (oldest.stored) {
      count(-oldest.stored.length);
      if (oldest.seq > deliveredSeq) undeliveredBytes -= oldest.stored.length;
      oldest.stored.release();
    }
    deliveredSeq = Math.max(deliveredSeq, oldest.seq);
    head++;
  };

  const spill = (folder: string) => {
    try {
      file ??= openSpillFile(folder, BLOCK_BYTES);
      store.spill(file, MEMORY_BYTES);
      diskFull = store.memoryBytes > MEMORY_BYTES + 2 * BLOCK_BYTES;
    } catch {
      diskFull = true; // no folder to write to: memory is all there is, and the producer waits
    }
  };

  const full = () => {
    if (attached || retention.spillFolder === undefined || diskFull) {
      return undeliveredBytes >= (retention.spillFolder === undefined ? MEMORY_BYTES : MAX_ATTACHED_BYTES) ||
        lastSeq - deliveredSeq >= MAX_ATTACHED_EVENTS;
    }
    const { shared } = retention;
    return undeliveredBytes >= retention.maxBytes || lastSeq - deliveredSeq >= MAX_DETACHED_EVENTS ||
      (shared.usedBytes >= shared.maxBytes && undeliveredBytes >= GUARANTEED_BYTES);
  };

  const wake = () => {
    if (!waiting || full()) return;
    waiting.resolve();
    waiting = undefined;
  };

  /** Index of the first retained entry after `seq`. Numbers are gapless but for what was lost: start from arithmetic. */
  const indexAfter = (seq: number) => {
    const oldest = entries[head];
    if (!oldest) return entries.length;
    let index = Math.min(Math.max(head, head + seq + 1 - oldest.seq), entries.length);
    while (index > head && (entries[index - 1]?.seq ?? 0) > seq) index--;
    return index;
  };

  return {
    get lastSeq() {
      return lastSeq;
    },
    get firstSeq() {
      return entries[head]?.seq ?? lastSeq + 1;
    },
    get deliveredSeq() {
      return deliveredSeq;
    },
    get undeliveredBytes() {
      return undeliveredBytes;
    },
    get receivedBytes() {
      return receivedBytes;
    },
    get exitSeq() {
      return exitSeq;
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
    append(stream, bytes) {
      const newest = entries.at(-1);
      const joins = newest && newest.seq > seenSeq && newest.stream === stream &&
        newest.stored?.extend(bytes);
      if (!joins) return this.appendEvent(stream, bytes);
      grow(bytes.length);
      notify();
      makeRoom();
    },
    appendEvent(stream, bytes) {
      grow(bytes.length);
      add("output", stream, store.put(bytes));
    },
    appendExited(code) {
      exitCode = code;
      exitSeq = lastSeq + 1;
      add("exited", "stdout");
    },
    learnExitCode(code) {
      exitCode ??= code;
    },
    appendClosed() {
      closed = true;
      add("closed", "stdout");
    },
    skipTo(seq) {
      lastSeq = Math.max(lastSeq, seq);
      notify();
    },
    fail(reason) {
      failure ??= reason;
      notify();
    },
    next(afterSeq) {
      const entry = entries[indexAfter(afterSeq)];
      if (!entry) return undefined;
      seenSeq = Math.max(seenSeq, entry.seq);
      const { seq, stream, stored } = entry;
      if (stored) return { type: "output", seq, stream, bytes: stored.read() };
      return entry.type === "exited"
        ? { type: "exited", seq, exitCode: exitCode ?? 0 }
        : { type: "closed", seq };
    },
    deliver(upTo) {
      const seq = Math.min(upTo, lastSeq);
      if (seq <= deliveredSeq) return;
      for (let index = indexAfter(deliveredSeq); index < entries.length; index++) {
        const entry = entries[index];
        if (!entry || entry.seq > seq) break;
        undeliveredBytes -= entry.stored?.length ?? 0;
      }
      deliveredSeq = seq;
      seenSeq = Math.max(seenSeq, seq);
      makeRoom();
      wake();
      delivered?.();
    },
    setAttached(now) {
      attached = now;
      seenSeq = lastSeq; // whoever comes is told where it begins: nothing may be joined to what was before
      diskFull = false; // there may be room again
      makeRoom();
      wake();
    },
    room() {
      if (!full() || disposed) return undefined;
      waiting ??= deferred();
      return waiting.promise;
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    dispose() {
      if (disposed) return;
      disposed = true;
      for (; head < entries.length; head++) entries[head]?.stored?.release();
      entries = [];
      head = 0;
      count(-retainedBytes);
      undeliveredBytes = 0;
      file?.close();
      file = undefined;
      waiting?.resolve();
    },
  };
}
