/**
 * The output of one process: the one owner of sequence numbers and of retention. Producers append; every reader
 * (push, `process/read`, a stream of the handle) walks it by sequence number. There is no second buffer.
 *
 * An event is *delivered* when its reader has said so. Delivered events are dropped first and only for room;
 * undelivered ones never (unless the operator chose so): when they fill their budget, {@link OutputLog.room} makes
 * the producer wait.
 */
import { encodeBase64 } from "../protocol/base64.ts";
import type { ExecServerError } from "../protocol/error.ts";
import { collectsInTime } from "../runtime/abilities.ts";
import { type Deferred, deferred } from "../runtime/deferred.ts";
import { BLOCK_BYTES, createByteStore, type StoredBytes } from "./byte_store.ts";
import type { MemoryUser } from "./memory_budget.ts";
import {
  GUARANTEED_BYTES,
  MAX_ATTACHED_BYTES,
  MAX_ATTACHED_EVENTS,
  MAX_DETACHED_EVENTS,
  MAX_OBSERVER_EVENTS,
  MEMORY_BYTES,
  type Retention,
} from "./retention.ts";
import { openSpillFile, type SpillFile } from "./spill_file.ts";
import type { ExitStatus, OutputStream, ProcessEvent } from "./trait.ts";

/** Smaller pieces are copied: they may be all that is needed of a much larger memory. */
const ADOPT_BYTES = 16 * 1024;

/** An event that carries output. */
export type OutputEvent = Extract<ProcessEvent, { type: "output" }>;

/** A log for its readers. */
export interface LogView {
  /** Sequence number of the newest event; 0 before the first. */
  readonly lastSeq: number;
  /** Sequence number of the oldest retained event; `lastSeq + 1` when there is none. */
  readonly firstSeq: number;
  /** Number of the exit; undefined before it. */
  readonly exitSeq: number | undefined;
  /** Set once the leader has exited. */
  readonly exit: ExitStatus | undefined;
  /** Set once nothing more will come. */
  readonly closed: boolean;
  /**
   * The first retained event after a sequence number. Its bytes are the log's memory: valid until the caller returns
   * to the event loop or calls any log, so encode or copy them at once.
   */
  next(afterSeq: number): ProcessEvent | undefined;
  /** Its bytes, for who keeps them: to be read only, others may have the same. */
  keep(event: OutputEvent): Uint8Array;
  /** Its bytes as base64: made once for all who are told of the event one after the other. */
  base64(event: OutputEvent): string;
  /** Calls back, synchronously, after every change that a reader may wait for. Returns the end of it. */
  subscribe(listener: () => void): () => void;
}

/** The log of one process. */
export interface OutputLog extends LogView {
  /** Everything up to this number has reached whoever it was for. */
  readonly deliveredSeq: number;
  /** Bytes of output that have not. */
  readonly undeliveredBytes: number;
  /** Bytes of output ever added. */
  readonly receivedBytes: number;
  /**
   * For readers that must not matter to the process, however slow they are: what they read brings the process no
   * nearer to its limits, they are not waited for, and they are told of the exit even when it is no longer retained.
   */
  readonly observed: LogView;
  /** Set when the rest cannot be had any more: the connection to the process is lost for good. */
  readonly failure: ExecServerError | undefined;
  /** Adds output: at most 64 KiB, joined to the newest event as long as nobody has seen that one. */
  append(stream: OutputStream, bytes: Uint8Array): void;
  /**
   * Adds output as an event of its own, under the number it has elsewhere. The bytes are the log's from then on: a
   * large piece is not copied.
   */
  appendEvent(stream: OutputStream, bytes: Uint8Array): void;
  /** Adds the exit of the leader. */
  appendExited(exit: ExitStatus): void;
  /** Adds the exit and the end in one step: the readers are told once, and may pass both on in one piece. */
  appendEnd(exit: ExitStatus): void;
  /** The exit is among what is lost: only how is known, not when. */
  learnExit(exit: ExitStatus): void;
  /** Adds the end. */
  appendClosed(): void;
  /** Numbers up to `seq` are lost: the next event gets the one after it. */
  skipTo(seq: number): void;
  /** Adds nothing more: tells the readers why. */
  fail(reason: ExecServerError): void;
  /** Everything up to `seq` has been delivered. */
  deliver(seq: number): void;
  /** While nobody is attached, output goes to the spill file and the larger budget holds. */
  setAttached(attached: boolean): void;
  /** Undefined when there is room for more; else resolves when there is. */
  room(): Promise<void> | undefined;
  /** The process is over: there is room for what it has left in its pipes, however much nobody has received. */
  takeRest(): void;
  /** Gives back memory and disk; only the exit and the end can be read afterwards. */
  dispose(): void;
}

interface Entry {
  readonly seq: number;
  readonly type: ProcessEvent["type"];
  readonly stream: OutputStream;
  readonly stored: StoredBytes | undefined;
  /** It would be part of the event before it, if an observer had not read that one. */
  readonly split: boolean;
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
  let observedSeq = 0; // the same for observers
  let splits = 0; // undelivered events that are there only because of observers
  let retainedBytes = 0;
  let undeliveredBytes = 0;
  let receivedBytes = 0;
  let attached = true;
  let exit: ExitStatus | undefined;
  let exitSeq: number | undefined;
  let exitWasDropped = false; // before anybody received it
  let closed = false;
  let failure: ExecServerError | undefined;
  let waiting: Deferred<void> | undefined;
  let file: SpillFile | undefined;
  let diskFull = false;
  let disposed = false;
  let encoded: { readonly seq: number; readonly length: number; readonly text: string } | undefined;
  let takesAll = false;

  const count = (bytes: number) => {
    retainedBytes += bytes;
    retention.shared.usedBytes += bytes;
  };

  const notify = () => {
    for (const listener of listeners) listener();
  };

  const push = (type: ProcessEvent["type"], stream: OutputStream, stored?: StoredBytes, split = false) => {
    entries.push({ seq: ++lastSeq, type, stream, stored, split });
    if (split) splits++;
  };

  const pushExited = (how: ExitStatus) => {
    exit = how;
    exitSeq = lastSeq + 1;
    push("exited", "stdout");
  };

  const tell = () => {
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
        !(oldest.seq <= deliveredSeq ? wanted : retention.dropOldest && full() && oldest.type !== "closed")
      ) break;
      drop(oldest);
    }
    if (head > 1024 || head === entries.length) {
      entries = entries.slice(head);
      head = 0;
    }
    if (!attached && store.memoryBytes > MEMORY_BYTES && retention.spillFolder !== undefined && !diskFull) {
      spill(retention.spillFolder, MEMORY_BYTES);
    }
    retention.memory?.set(memoryUser, store.memoryBytes);
  };

  const memoryUser: MemoryUser = {
    spill() {
      if (retention.spillFolder !== undefined && !diskFull) spill(retention.spillFolder, 0);
      return store.memoryBytes;
    },
  };

  const drop = (oldest: Entry) => {
    if (oldest.split && oldest.seq > deliveredSeq) splits--;
    if (oldest.stored) {
      count(-oldest.stored.length);
      if (oldest.seq > deliveredSeq) undeliveredBytes -= oldest.stored.length;
      oldest.stored.release();
    }
    exitWasDropped ||= oldest.type === "exited" && oldest.seq > deliveredSeq;
    deliveredSeq = Math.max(deliveredSeq, oldest.seq);
    head++;
  };

  const spill = (folder: string, most: number) => {
    if (store.memoryBytes <= BLOCK_BYTES) return; // nothing but the block that is being filled
    try {
      file ??= openSpillFile(folder, BLOCK_BYTES);
      store.spill(file, most);
      diskFull = store.memoryBytes > most + 2 * BLOCK_BYTES;
    } catch {
      diskFull = true; // no folder to write to: memory is all there is, and the producer waits
    }
  };

  const full = () => {
    const waitingEvents = lastSeq - deliveredSeq - splits;
    if (attached || retention.spillFolder === undefined || diskFull) {
      return undeliveredBytes >= (retention.spillFolder === undefined ? MEMORY_BYTES : MAX_ATTACHED_BYTES) ||
        waitingEvents >= MAX_ATTACHED_EVENTS;
    }
    const { shared } = retention;
    return undeliveredBytes >= retention.maxBytes || waitingEvents >= MAX_DETACHED_EVENTS ||
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

  const eventOf = ({ seq, type, stream, stored }: Entry): ProcessEvent => {
    if (stored) return { type: "output", seq, stream, bytes: stored.read() };
    return type === "exited" && exit ? { type: "exited", seq, ...exit } : { type: "closed", seq };
  };

  /** The exit, when it lies between a number and the next entry: how it ended is known even if the entry is gone. */
  const exitBetween = (afterSeq: number, entry: Entry | undefined): ProcessEvent | undefined =>
    exit && exitSeq !== undefined && afterSeq < exitSeq && exitSeq < (entry?.seq ?? Infinity)
      ? { type: "exited", seq: exitSeq, ...exit }
      : undefined;

  /** True while the newest event may still be added to. */
  const growing = () => lastSeq > Math.max(seenSeq, observedSeq) && entries.at(-1)?.stored !== undefined;
  /** Observers wait for the next event: another small one made by them would be too many. */
  const withheld = () => growing() && splits >= MAX_OBSERVER_EVENTS;

  const subscribe = (listener: () => void) => {
    listeners.add(listener);
    return () => void listeners.delete(listener);
  };

  const base64 = ({ seq, bytes }: OutputEvent) => {
    if (encoded?.seq === seq && encoded.length === bytes.length) return encoded.text; // else it has grown since
    const text = encodeBase64(bytes);
    encoded = listeners.size > 1 ? { seq, length: bytes.length, text } : undefined;
    return text;
  };

  const keep = ({ seq, bytes }: OutputEvent) =>
    entries[indexAfter(seq - 1)]?.stored?.lasting ? bytes : bytes.slice();

  const observed: LogView = {
    keep,
    base64,
    get lastSeq() {
      return withheld() ? lastSeq - 1 : lastSeq;
    },
    get firstSeq() {
      return entries[head]?.seq ?? lastSeq + 1;
    },
    get exitSeq() {
      return exitSeq;
    },
    get exit() {
      return exit;
    },
    get closed() {
      return closed;
    },
    next(afterSeq) {
      const entry = entries[indexAfter(afterSeq)];
      const droppedExit = exitBetween(afterSeq, entry);
      if (droppedExit) return droppedExit;
      if (!entry || entry.seq === lastSeq && withheld()) return undefined;
      observedSeq = Math.max(observedSeq, entry.seq);
      return eventOf(entry);
    },
    subscribe,
  };

  return {
    observed,
    keep,
    base64,
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
    get exit() {
      return exit;
    },
    get closed() {
      return closed;
    },
    get failure() {
      return failure;
    },
    append(stream, bytes) {
      const newest = entries.at(-1);
      const mayJoin = newest?.stored !== undefined && newest.seq > seenSeq && newest.stream === stream;
      const split = mayJoin && newest.seq <= observedSeq;
      const joins = mayJoin && !split && newest.stored.extend(bytes);
      grow(bytes.length);
      if (!joins) push("output", stream, store.put(bytes), split);
      tell();
    },
    appendEvent(stream, bytes) {
      grow(bytes.length);
      const adopts = collectsInTime && bytes.length >= ADOPT_BYTES;
      push("output", stream, adopts ? store.adopt(bytes) : store.put(bytes));
      tell();
    },
    appendExited(how) {
      pushExited(how);
      tell();
    },
    appendEnd(how) {
      pushExited(how);
      closed = true;
      push("closed", "stdout");
      tell();
    },
    learnExit(how) {
      exit ??= how;
    },
    appendClosed() {
      closed = true;
      push("closed", "stdout");
      tell();
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
      const droppedExit = exitWasDropped ? exitBetween(afterSeq, entry) : undefined;
      if (droppedExit) return droppedExit;
      if (!entry) return undefined;
      seenSeq = Math.max(seenSeq, entry.seq);
      return eventOf(entry);
    },
    deliver(upTo) {
      const seq = Math.min(upTo, lastSeq);
      if (seq <= deliveredSeq) return;
      for (let index = indexAfter(deliveredSeq); index < entries.length; index++) {
        const entry = entries[index];
        if (!entry || entry.seq > seq) break;
        undeliveredBytes -= entry.stored?.length ?? 0;
        if (entry.split) splits--;
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
      if (!full() || disposed || takesAll) return undefined;
      waiting ??= deferred();
      return waiting.promise;
    },
    takeRest() {
      takesAll = true;
      waiting?.resolve();
      waiting = undefined;
    },
    subscribe,
    dispose() {
      if (disposed) return;
      disposed = true;
      encoded = undefined;
      const kept = entries.slice(head);
      for (const { stored } of kept) stored?.release();
      entries = kept.filter(({ stored }) => !stored); // whoever is behind must still learn of the end
      head = 0;
      count(-retainedBytes);
      retention.memory?.set(memoryUser, 0);
      undeliveredBytes = 0;
      file?.close();
      file = undefined;
      waiting?.resolve();
    },
  };
}
