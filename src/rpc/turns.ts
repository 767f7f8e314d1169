/**
 * Turns: what a connection sends is handled in the order it came, and no faster than the others get their turn. A
 * socket hands over up to thousands of small messages in one go; handled in one go they would stop everybody else for
 * as long as that takes.
 */

/** Messages of one connection that are handled as they come, before it has to wait for its next turn. */
export const MESSAGES_A_TURN = 32;
/** How long waiting messages are handled before sockets are looked at again, in ms. */
const TURN_MS = 2;

/** What an inbox does with its messages. */
export interface InboxOwner<T> {
  /** Handles one. */
  handle(message: T): void;
  /** Messages wait: read no more of the socket. */
  full(): void;
  /** None waits any more. */
  empty(): void;
  /** Undefined when messages may be handled; else called with what to do when they may again. */
  busy(): ((again: () => void) => void) | undefined;
}

/** The messages of one connection. */
export interface Inbox<T> {
  push(message: T): void;
  /** Forgets what waits. */
  clear(): void;
}

interface Waiting {
  /** Handles some; false when it is to wait no more. */
  turn(): boolean;
}

/** A fresh beginning for everybody is made once in each round of the event loop. */
const started = new Set<() => void>();
const ring = new Set<Waiting>();
let scheduled = false;

function schedule(): void {
  if (scheduled) return;
  scheduled = true;
  setImmediate(round);
}

function round(): void {
  scheduled = false;
  for (const reset of started) reset();
  started.clear();
  const until = performance.now() + TURN_MS;
  for (const waiting of ring) {
    ring.delete(waiting); // and behind the others again
    if (waiting.turn()) ring.add(waiting);
    if (performance.now() >= until) break;
  }
  if (ring.size > 0) schedule();
}

/** An inbox without messages. */
export function createInbox<T>(owner: InboxOwner<T>): Inbox<T> {
  let items: { readonly message: T }[] = [];
  let head = 0;
  let used = 0;
  const reset = () => void (used = 0);
  const waiting: Waiting = {
    turn() {
      for (let count = 0; count < MESSAGES_A_TURN; count++) {
        const whenFree = owner.busy();
        if (whenFree) {
          whenFree(wait);
          return false;
        }
        const next = items[head++];
        if (next) owner.handle(next.message);
        if (head < items.length) continue;
        items = [];
        head = 0;
        owner.empty();
        return false;
      }
      return true;
    },
  };
  const wait = () => {
    ring.add(waiting);
    schedule();
  };
  return {
    push(message) {
      if (items.length === 0 && used < MESSAGES_A_TURN && !owner.busy()) {
        if (used++ === 0) started.add(reset);
        schedule();
        return owner.handle(message);
      }
      if (items.push({ message }) > 1) return;
      owner.full();
      wait();
    },
    clear() {
      items = [];
      head = 0;
      ring.delete(waiting);
    },
  };
}
