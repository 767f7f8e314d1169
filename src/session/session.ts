/** A session owns processes; a connection is only attached to it and may come and go. */
import type { LocalProcess, LocalProcesses } from "../process/local.ts";
import type { ProcessEvent } from "../process/trait.ts";

/** A connection, as far as a session knows it. */
export interface Attachment {
  /** Sends one event of a process. */
  push(processId: string, event: ProcessEvent): void;
  /** True while the connection cannot take more. */
  readonly congested: boolean;
  /** Calls back once when it can. */
  onDrain(action: () => void): void;
}

/** A session. */
export interface Session {
  /** UUID; whoever knows it may resume the session. */
  readonly id: string;
  readonly processes: LocalProcesses;
  /** True while a connection is attached. */
  readonly attached: boolean;
  /** Events that happen from now on go to this connection, in order. What it missed it reads. */
  attach(attachment: Attachment): void;
  /** The connection is gone; the processes go on. */
  detach(): void;
  /** Begins to push a started process's events, from the first one on. */
  watch(process: LocalProcess): void;
}

/** What the session pushes of one process. */
interface Feed {
  readonly process: LocalProcess;
  /** The last event that was pushed, or that the attached connection has to read by itself. */
  cursor: number;
}

/** How long a closed process stays readable, in ms. */
export interface SessionOptions {
  readonly closedRetentionMs: number;
}

/** A session without processes. */
export function createSession(id: string, processes: LocalProcesses, options: SessionOptions): Session {
  const feeds = new Map<LocalProcess, Feed>();
  let attachment: Attachment | undefined;
  let waiting = false;

  /** Pushes the feed's next event; false when there is none or it cannot be taken now. */
  const pushNext = (feed: Feed): boolean => {
    if (!attachment || waiting) return false;
    const event = feed.process.log.next(feed.cursor);
    if (!event) return false;
    if (attachment.congested) {
      wait(attachment);
      return false;
    }
    feed.cursor = event.seq;
    attachment.push(feed.process.id, event);
    feed.process.log.markDelivered(event.seq, event.seq);
    return true;
  };

  const pump = (feed: Feed) => {
    while (pushNext(feed));
  };

  /** One firehose must not starve the others: after a congestion the feeds take turns, one event each. */
  const pumpAll = () => {
    for (let busy = true; busy;) {
      busy = false;
      for (const feed of feeds.values()) busy = pushNext(feed) || busy;
    }
  };

  const wait = (congested: Attachment) => {
    if (waiting) return;
    waiting = true;
    congested.onDrain(() => {
      if (attachment !== congested) return;
      waiting = false;
      pumpAll();
    });
  };

  return {
    id,
    processes,
    get attached() {
      return attachment !== undefined;
    },
    attach(next) {
      attachment = next;
      waiting = false;
      for (const feed of feeds.values()) feed.cursor = feed.process.log.lastSeq;
    },
    detach() {
      attachment = undefined;
      waiting = false;
    },
    watch(process) {
      const feed: Feed = { process, cursor: 0 };
      feeds.set(process, feed);
      const unsubscribe = process.log.subscribe(() => {
        pump(feed);
        if (process.log.closed) retire();
      });
      const retire = () => {
        unsubscribe();
        setTimeout(() => {
          feeds.delete(process);
          processes.remove(process.id);
        }, options.closedRetentionMs).unref();
      };
      pump(feed);
      if (process.log.closed) retire();
    },
  };
}
