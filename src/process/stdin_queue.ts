/** Bytes on their way to one child: in order, once for each `writeId`, bounded. */
import {
  MAX_QUEUED_STDIN_BYTES,
  MAX_QUEUED_STDIN_WRITES,
  MAX_REMEMBERED_WRITE_IDS,
  STDIN_HIGH_WATER_BYTES,
} from "../protocol/limits.ts";
import { invalidRequest } from "../protocol/error.ts";
import type { ByteSink } from "../runtime/child.ts";
import type { WriteStatus } from "./control.ts";

/** The queue in front of a child's standard input. */
export interface StdinQueue {
  /**
   * Resolves `accepted` when less than 1 MiB is waiting, `stdinClosed` when the child does not take input any more.
   * @throws ExecServerError `INVALID_REQUEST` when 1,024 writes or 8 MiB are already waiting
   */
  write(bytes: Uint8Array, writeId: string): Promise<WriteStatus>;
  /** End-of-file after what is queued. */
  end(): WriteStatus;
  /** The child is gone: forget what is queued. */
  destroy(): void;
}

/** End-of-file as it is typed: Ctrl-D, VEOF of termios(3) unless a program has changed it. */
const END_OF_FILE = 4;
const NEWLINE = 10;

/**
 * A queue in front of a pipe or a terminal.
 * @param options.terminal end-of-file is a character there, and counts only at the beginning of a line: after a part
 * of one the first only ends that part
 */
export function createStdinQueue(sink: ByteSink, options: { readonly terminal: boolean }): StdinQueue {
  const remembered = new Map<string, Promise<WriteStatus>>();
  let queuedBytes = 0;
  let queuedWrites = 0;
  let state: "open" | "ending" | "closed" = "open";
  let tail: Promise<void> = Promise.resolve();
  let release: (() => void)[] = [];
  let lastByte = NEWLINE;

  const wakeSenders = () => {
    const senders = release;
    release = [];
    for (const wake of senders) wake();
  };

  const push = (bytes: Uint8Array): Promise<WriteStatus> => {
    queuedBytes += bytes.length;
    queuedWrites++;
    lastByte = bytes.at(-1) ?? lastByte;
    tail = tail.then(async () => {
      try {
        if (state !== "closed") await sink.write(bytes);
      } catch {
        state = "closed"; // EPIPE: the child closed its end; what follows has no reader
      } finally {
        queuedBytes -= bytes.length;
        queuedWrites--;
        if (queuedBytes < STDIN_HIGH_WATER_BYTES) wakeSenders();
      }
    });
    if (queuedBytes < STDIN_HIGH_WATER_BYTES) return Promise.resolve("accepted");
    return new Promise<void>((resolve) => release.push(resolve)).then(() =>
      state === "closed" ? "stdinClosed" : "accepted"
    );
  };

  const typeEndOfFile = () =>
    sink.write(Uint8Array.from(lastByte === NEWLINE ? [END_OF_FILE] : [END_OF_FILE, END_OF_FILE]))
      .catch(() => {}); // the terminal is gone

  return {
    write(bytes, writeId) {
      const before = remembered.get(writeId);
      if (before) return before;
      if (state !== "open") return Promise.resolve("stdinClosed");
      const tooMuch = queuedWrites > 0 && queuedBytes + bytes.length > MAX_QUEUED_STDIN_BYTES;
      if (tooMuch || queuedWrites >= MAX_QUEUED_STDIN_WRITES) {
        throw invalidRequest(
          `the process does not read its stdin: ${queuedBytes} bytes in ${queuedWrites} writes wait`,
        );
      }
      const status = push(bytes);
      remembered.set(writeId, status);
      if (remembered.size > MAX_REMEMBERED_WRITE_IDS) {
        for (const oldest of remembered.keys()) {
          remembered.delete(oldest);
          break;
        }
      }
      return status;
    },
    end() {
      if (state === "closed") return "stdinClosed";
      if (state === "open") {
        state = "ending";
        tail = tail.then(options.terminal ? typeEndOfFile : () => sink.close());
      }
      return "accepted";
    },
    destroy() {
      state = "closed";
      sink.destroy();
      wakeSenders();
    },
  };
}
