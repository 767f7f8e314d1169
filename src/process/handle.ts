/** The {@link Process} that programs hold, made of a log and the controls, wherever the process is. */
import { ExecServerError } from "../protocol/error.ts";
import { deferred } from "../runtime/deferred.ts";
import type { ProcessControl } from "./control.ts";
import { onlyObserved } from "./observation.ts";
import type { ExitStatus, OutputStream, Process, ProcessEvent } from "./trait.ts";
import { newWriteId } from "./wire_bytes.ts";

/** Largest piece of standard input that travels in one message. */
const STDIN_PIECE_BYTES = 512 * 1024;
/** Writes that may be on their way at once: enough to hide the round trip. */
const STDIN_WRITES_IN_FLIGHT = 8;

/** Unread output that is dropped at once when nobody reads: less than any window that a sender waits for. */
const DISCARD_BYTES = 256 * 1024;
const DISCARD_EVENTS = 256;

/** Makes the handle. @param signal terminates the process when aborted */
export function processHandle(control: ProcessControl, signal?: AbortSignal): Process {
  const readers = new Set<Reader>();
  let abandoned = false; // someone waits and nobody reads, or the last reader left: output is dropped
  const { log } = control;

  const settle = () => {
    let seen = abandoned && readers.size === 0 ? log.lastSeq : Infinity;
    for (const reader of readers) seen = Math.min(seen, reader.position);
    if (seen !== Infinity) log.deliver(seen);
  };
  log.subscribe(() => {
    const many = log.undeliveredBytes >= DISCARD_BYTES || log.lastSeq - log.deliveredSeq >= DISCARD_EVENTS;
    if (abandoned && many) settle();
  });

  const read = (skipsGaps: boolean): Reader => {
    const reader = createReader(control, skipsGaps, settle, () => {
      readers.delete(reader);
      if (readers.size === 0) abandoned = true;
      settle();
    });
    readers.add(reader);
    return reader;
  };

  const stop = () => void control.terminate().catch(() => {});
  if (signal?.aborted) stop();
  else if (signal) {
    signal.addEventListener("abort", stop, { once: true });
    whenClosed(control).finally(() => signal.removeEventListener("abort", stop)).catch(() => {});
  }

  const streams = new Map<OutputStream, ReadableStream<Uint8Array>>();
  const stream = (name: OutputStream) => {
    const existing = streams.get(name);
    if (existing) return existing;
    const made = outputStream(read(false), name);
    streams.set(name, made);
    return made;
  };
  let stdin: WritableStream<Uint8Array> | undefined;

  return {
    id: control.id,
    events: ({ skipGaps = control.observed ?? false } = {}) => ({
      [Symbol.asyncIterator]: () => eventIterator(read(skipGaps)),
    }),
    get stdout() {
      return stream("stdout");
    },
    get stderr() {
      return stream("stderr");
    },
    get stdin() {
      return stdin ??= inputStream(control);
    },
    async wait(options = {}): Promise<ExitStatus> {
      // Not at once: `const done = process.wait(); for await (const x of process.stdout)` must lose nothing.
      setTimeout(() => {
        if (readers.size === 0) abandoned = true;
        settle();
      }, 0);
      await whenClosed(control, options.signal);
      if (!log.exit) {
        throw new ExecServerError("DISCONNECTED", "the process's exit code was not received");
      }
      return log.exit;
    },
    signal: (name) => control.signal(name),
    resize: (size) => control.resize(size),
    terminate: (how) => control.terminate(how),
  };
}

/** A place in the log. */
interface Reader {
  readonly position: number;
  next(): Promise<ProcessEvent | undefined>;
  leave(): void;
}

function createReader(
  control: ProcessControl,
  skipsGaps: boolean,
  moved: () => void,
  left: () => void,
): Reader {
  const { log } = control;
  let position = control.firstSeq - 1;
  let gone = false;
  return {
    get position() {
      return position;
    },
    async next() {
      for (;;) {
        if (gone) return undefined;
        const event = log.next(position);
        if (event) {
          if (event.seq > position + 1 && !skipsGaps) {
            this.leave(); // it reads no more: the other readers must not wait for it
            throw lost(position + 1, event.seq - 1);
          }
          const kept = event.type === "output" ? { ...event, bytes: log.keep(event) } : event;
          position = event.seq;
          moved();
          return kept;
        }
        if (log.failure) throw log.failure;
        if (log.closed) return undefined;
        await changed(control);
      }
    },
    leave() {
      if (gone) return;
      gone = true;
      left();
    },
  };
}

function lost(from: number, to: number): ExecServerError {
  return new ExecServerError("OUTPUT_LOST", `the process's events ${from} to ${to} are no longer retained`);
}

function changed(control: ProcessControl, signal?: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = deferred<void>();
  const unsubscribe = control.log.subscribe(() => resolve());
  const abort = () => reject(signal?.reason);
  if (signal?.aborted) abort();
  else signal?.addEventListener("abort", abort);
  return promise.finally(() => {
    unsubscribe();
    signal?.removeEventListener("abort", abort);
  });
}

async function whenClosed(control: ProcessControl, signal?: AbortSignal): Promise<void> {
  while (!control.log.closed) {
    if (control.log.failure) throw control.log.failure;
    await changed(control, signal);
  }
}

function eventIterator(reader: Reader): AsyncIterator<ProcessEvent> {
  return {
    async next() {
      const event = await reader.next();
      return event ? { done: false, value: event } : { done: true, value: undefined };
    },
    return() {
      reader.leave();
      return Promise.resolve({ done: true, value: undefined });
    },
  };
}

function outputStream(reader: Reader, name: OutputStream): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      for (;;) {
        const event = await reader.next();
        if (!event) return controller.close();
        if (
          event.type === "output" && (event.stream === name || event.stream === "pty" && name === "stdout")
        ) {
          return controller.enqueue(event.bytes);
        }
      }
    },
    cancel: () => reader.leave(),
  }, { highWaterMark: 0 });
}

function inputStream(control: ProcessControl): WritableStream<Uint8Array> {
  const inFlight = new Set<Promise<void>>();
  let failure: unknown;
  const send = (bytes: Uint8Array) => {
    const one = control.write(bytes, newWriteId()).then((status) => {
      if (status !== "accepted") {
        throw new ExecServerError("EPIPE", `the process takes no more input (${status})`);
      }
    }).catch((error: unknown) => {
      failure ??= error;
    }).finally(() => inFlight.delete(one));
    inFlight.add(one);
  };
  return new WritableStream<Uint8Array>({
    start(controller) {
      if (control.observed) controller.error(onlyObserved(control.id));
      else if (control.takesInput === false) {
        controller.error(new ExecServerError("EPIPE", "the process was started without `pipeStdin`"));
      }
    },
    async write(chunk) {
      for (let offset = 0; offset < chunk.length; offset += STDIN_PIECE_BYTES) {
        while (inFlight.size >= STDIN_WRITES_IN_FLIGHT) await Promise.race(inFlight);
        if (failure !== undefined) throw failure;
        send(chunk.subarray(offset, offset + STDIN_PIECE_BYTES));
      }
    },
    async close() {
      await Promise.all(inFlight);
      if (failure !== undefined) throw failure;
      await control.closeStdin({ final: true });
    },
    abort: () => control.closeStdin({ final: true }).then(() => {}),
  });
}
