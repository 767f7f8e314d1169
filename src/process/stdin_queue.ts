/** Bytes on their way to one child: in order, once for each `writeId`, bounded. */
import {
  MAX_QUEUED_STDIN_BYTES,
  MAX_QUEUED_STDIN_WRITES,
  MAX_REMEMBERED_WRITE_IDS,
  STDIN_HIGH_WATER_BYTES,
} from "../protocol/limits.ts";
import { invalidRequest } from "../protocol/error.ts";
import type { ByteSink } from "../runtime/child.ts";
import type { TerminalInput } from "../runtime/terminal.ts";
import type { WriteStatus } from "./control.ts";
import { END_OF_FILE, keepAtEnd } from "./terminal_end.ts";

/** The queue in front of a child's standard input. */
export interface StdinQueue {
  /**
   * Resolves `accepted` when less than 1 MiB is waiting, `stdinClosed` when the child does not take input any more.
   * @throws ExecServerError `INVALID_REQUEST` when 1,024 writes or 8 MiB are already waiting
   */
  write(bytes: Uint8Array, writeId: string): Promise<WriteStatus>;
  /**
   * End-of-file after what is queued. In a terminal that is a character, after which one may go on.
   * @param final nothing follows, and in a terminal the input stays at its end
   * @throws ExecServerError as {@link write}
   */
  end(final: boolean): WriteStatus | Promise<WriteStatus>;
  /** The child is gone: forget what is queued. */
  destroy(): void;
}

const NEWLINE = 10;
/** What ends a line in a terminal; Enter is a carriage return, which becomes a newline (ICRNL of termios(3)). */
const LINE_ENDS: ReadonlySet<number> = new Set([NEWLINE, 13, END_OF_FILE]);

/** What the queue is in front of. */
export interface StdinQueueOptions {
  /**
   * End-of-file is a character there, and counts only at the beginning of a line: after a part of one the first only
   * ends that part.
   */
  readonly terminal: boolean;
  /** What whoever reads the terminal finds; undefined where that cannot be known. */
  readonly unread?: (() => TerminalInput) | undefined;
}

/** A queue in front of a pipe or a terminal. */
export function createStdinQueue(sink: ByteSink, options: StdinQueueOptions): StdinQueue {
  const remembered = new Map<string, Promise<WriteStatus>>();
  let queuedBytes = 0;
  let queuedWrites = 0;
  let state: "open" | "ending" | "closed" = "open";
  let tail: Promise<void> = Promise.resolve();
  let release: (() => void)[] = [];
  let lastByte = NEWLINE;
  let kept: ReturnType<typeof keepAtEnd> | undefined;

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

  const requireRoom = (bytes: Uint8Array) => {
    const tooMuch = queuedWrites > 0 && queuedBytes + bytes.length > MAX_QUEUED_STDIN_BYTES;
    if (!tooMuch && queuedWrites < MAX_QUEUED_STDIN_WRITES) return;
    throw invalidRequest(
      `the process does not read its stdin: ${queuedBytes} bytes in ${queuedWrites} writes wait`,
    );
  };

  return {
    write(bytes, writeId) {
      const before = remembered.get(writeId);
      if (before) return before;
      if (state !== "open") return Promise.resolve("stdinClosed");
      requireRoom(bytes);
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
    end(final) {
      if (state === "closed") return "stdinClosed";
      if (state === "ending") return "accepted";
      const characters = LINE_ENDS.has(lastByte) ? 1 : 2;
      if (options.terminal && !final) {
        const typed = new Uint8Array(characters).fill(END_OF_FILE);
        requireRoom(typed);
        return push(typed);
      }
      state = "ending";
      tail = tail.then(() => {
        if (!options.terminal) sink.close();
        else if (state === "ending") kept = keepAtEnd(sink, characters, options.unread);
      });
      return "accepted";
    },
    destroy() {
      state = "closed";
      kept?.stop();
      sink.destroy();
      wakeSenders();
    },
  };
}
