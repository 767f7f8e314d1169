/**
 * Messages that are on their way in. A message is in memory before anything of it can be read, so many large ones
 * together would fill it: then their senders take turns. What a sender sends without ever completing a message is cut
 * off.
 */
import { MAX_EARLY_MESSAGE_BYTES } from "../protocol/limits.ts";
import { FAIR_BYTES } from "../rpc/load.ts";

/** Bytes of incomplete messages of all connections; beyond it only the one that has most of its message is read. */
const MAX_INCOMPLETE_BYTES = 32 * 1024 * 1024;
/** Frame headers and control frames that may come with a message, in bytes. */
const FRAMING_BYTES = 4 * 1024 * 1024;
/** The same of a message before `initialize`. */
const EARLY_FRAMING_BYTES = 64 * 1024;
/** How long the one whose turn it is may send nothing while others wait, in ms. */
const STALL_MS = 5_000;
/** How often the sockets are looked at, in ms: no event tells of a part of a message. */
const LOOK_MS = 25;

/** A connection, as far as it sends. */
export interface Sender {
  /** Bytes that were read of its socket so far. */
  bytesRead(): number;
  /** Messages that were complete so far. */
  messages(): number;
  /** True until `initialize` has succeeded: its messages are small until then. */
  isEarly(): boolean;
  /** Some bytes came. */
  active(): void;
  /** Reads its socket, or not. */
  hold(held: boolean): void;
  /** Ends it. */
  cut(reason: "too big" | "stalled"): void;
}

/** All connections of a server that send. */
export interface Incoming {
  /** Looks after one more. Returns the end of it. */
  watch(sender: Sender): () => void;
}

interface Watched {
  readonly sender: Sender;
  messages: number;
  bytes: number;
  /** Where the present message began. */
  begin: number;
  changedAt: number;
  held: boolean;
}

/**
 * Nobody sends yet.
 * @param maxMessageBytes the largest message
 */
export function createIncoming(maxMessageBytes: number): Incoming {
  const all = new Set<Watched>();
  let timer: NodeJS.Timeout | undefined;

  /** Takes in what has come since the last look. Returns the bytes of the present message. */
  const look = (one: Watched, now: number): number => {
    const bytes = one.sender.bytesRead();
    const messages = one.sender.messages();
    if (bytes === one.bytes) return bytes - one.begin;
    one.sender.active();
    one.bytes = bytes;
    one.changedAt = now;
    if (messages !== one.messages) one.begin = bytes;
    one.messages = messages;
    return bytes - one.begin;
  };

  const hold = (one: Watched, held: boolean, now: number) => {
    if (one.held === held) return;
    one.held = held;
    one.changedAt = now;
    one.sender.hold(held);
  };

  const cut = (one: Watched, reason: "too big" | "stalled") => {
    all.delete(one);
    one.sender.cut(reason);
  };

  const most = ({ sender }: Watched) =>
    sender.isEarly() ? MAX_EARLY_MESSAGE_BYTES + EARLY_FRAMING_BYTES : maxMessageBytes + FRAMING_BYTES;

  const lookAtAll = () => {
    const now = performance.now();
    let sum = 0;
    let largest = 0;
    let first: Watched | undefined;
    for (const one of all) {
      const bytes = look(one, now);
      sum += bytes;
      if (bytes > most(one)) cut(one, "too big");
      if (bytes <= largest) continue;
      largest = bytes;
      first = one;
    }
    const isTooMuch = sum >= MAX_INCOMPLETE_BYTES;
    for (const one of all) hold(one, isTooMuch && one !== first && one.bytes - one.begin >= FAIR_BYTES, now);
    if (isTooMuch && first && sum > largest && now - first.changedAt >= STALL_MS) cut(first, "stalled");
  };

  return {
    watch(sender) {
      const watched = { sender, messages: 0, bytes: 0, begin: 0, changedAt: performance.now(), held: false };
      all.add(watched);
      timer ??= setInterval(lookAtAll, LOOK_MS).unref();
      return () => {
        all.delete(watched);
        if (all.size > 0) return;
        clearInterval(timer);
        timer = undefined;
      };
    },
  };
}
