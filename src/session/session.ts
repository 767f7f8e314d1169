/** A session owns processes; a connection is only attached to it and may come, go and be taken over. */
import type { LocalProcesses } from "../process/local.ts";
import type { LocalProcess } from "../process/local_process.ts";
import type { LogView } from "../process/output_log.ts";
import type { ProcessEvent } from "../process/trait.ts";
import { createFeed, type Feed, ownSource } from "./feed.ts";
import { MAX_KEPT_PROCESSES } from "./limits.ts";
import { createObservations, type Observations } from "./observations.ts";

/** A connection, as far as a session knows it. */
export interface Attachment {
  /**
   * True: it says itself what it has received. Else it is made to by pings, which prove only that something along
   * the way has read what came before.
   */
  readonly acknowledges: boolean;
  /** Sends one event of a process, from its log. Returns the size of the message in bytes. */
  push(processId: string, event: ProcessEvent, log: LogView): number;
  /** Runs an action; what it pushes leaves in one piece, where that can be. */
  together(action: () => void): void;
  /** Says that these events of a process are gone for good. */
  lost(processId: string, fromSeq: number, toSeq: number): void;
  /** Sends a ping that carries a number; {@link Session.pong} gets it back. */
  ping(count: number): void;
  /** True while the connection cannot take more. */
  readonly congested: boolean;
  /** Calls back once when it can. */
  onDrain(action: () => void): void;
  /** Another connection has resumed the session. */
  evict(): void;
}

/** A session. */
export interface Session {
  /** UUID; whoever knows it may resume the session. */
  readonly id: string;
  readonly processes: LocalProcesses;
  /** The processes of other sessions that it observes. */
  readonly observations: Observations;
  /** The connection that has it. */
  readonly attachment: Attachment | undefined;
  /** How long it lives without a connection, in ms. */
  ttlMs: number;
  /**
   * Makes a connection the only one that gets events, in one step.
   * @param cursors for each process the connection knows: the last event it has; pushing goes on after it. The others
   * are held until they are read.
   */
  attach(attachment: Attachment, cursors: ReadonlyMap<string, number>): void;
  /** The connection is gone; the processes go on. Nothing happens when it is not the attached one. */
  detach(attachment: Attachment): void;
  /** Begins to push a started process's events, from the first one on. */
  watch(process: LocalProcess): void;
  /** The client has received a process's events up to `seq`. */
  acknowledge(processId: string, seq: number): void;
  /** A ping's number came back from the attached connection. */
  pong(count: number): void;
  /**
   * The client has been answered a process's events up to `seq`: pushing goes on after them.
   * @param chunks the output among them; their bytes count as sent
   */
  answered(processId: string, seq: number, chunks: readonly SentChunk[]): void;
}

/** A piece of output in an answer. */
export interface SentChunk {
  readonly seq: number;
  /** The text that carries it. */
  readonly chunk: string;
}

/** Numbers of a session. */
export interface SessionOptions {
  /** How long a closed process stays readable, and the session lives without a connection, in ms. */
  readonly ttlMs: number;
  /** Processes of other sessions that it may watch. */
  readonly maxObservations: number;
}

/** Unacknowledged output of one process that may be on its way: more would only fill a slow client's memory. */
const WINDOW_BYTES = 2 * 1024 * 1024;
/** A client that does not acknowledge is pinged after so many bytes. */
const PING_EVERY_BYTES = 256 * 1024;
/** The newest bytes of a connection that a pong does not count for: a proxy may have answered, not the client. */
const PONG_SLACK_BYTES = 1024 * 1024;
/**
 * How long a resuming client of the plain wire may take to read what it missed, in ms. Then it is pushed what is new,
 * as the reference server does.
 */
const HOLD_MS = 2_000;
/**
 * How long such a client has, in ms, from the pong behind the answer until it is pushed more. The reference client takes
 * 1 MiB of events while it handles the answer, which can be 4 MiB, and gives the process up beyond that.
 */
const SETTLE_MS = 50;

/** So many more are kept before it is looked again which may go: to look at all of them at each start took as long as it. */
const KEEP_SLACK = MAX_KEPT_PROCESSES / 8;

/** A session without processes. */
export function createSession(id: string, processes: LocalProcesses, options: SessionOptions): Session {
  const feeds = new Map<string, Feed>();
  let attachment: Attachment | undefined;
  let waiting = false;
  let holdTimer: NodeJS.Timeout | undefined;
  let pushedBytes = 0;
  let pingedBytes = 0;
  let settling: { readonly count: number; answered(): void } | undefined;
  let fewUntil = MAX_KEPT_PROCESSES;
  let provisional: { readonly feed: Feed; readonly seq: number; readonly end: number }[] = [];

  /** Pushes the feed's next event; false when there is none or it cannot go now. */
  const pushNext = (feed: Feed): boolean => {
    if (!attachment || waiting || feed.held || settling) return false;
    if (attachment.acknowledges && feed.inFlightBytes >= WINDOW_BYTES) return false;
    const event = feed.source.log.next(feed.cursor);
    if (!event) return false;
    if (attachment.congested) {
      waitForDrain(attachment);
      return false;
    }
    if (event.seq > feed.cursor + 1) attachment.lost(feed.source.id, feed.cursor + 1, event.seq - 1);
    const bytes = attachment.push(feed.source.id, event, feed.source.log);
    feed.cursor = event.seq;
    pushedBytes += bytes;
    if (attachment.acknowledges) {
      feed.inFlight.push({ seq: event.seq, bytes });
      feed.inFlightBytes += bytes;
    } else {
      provisional.push({ feed, seq: event.seq, end: pushedBytes });
      if (pushedBytes - pingedBytes >= PING_EVERY_BYTES) {
        pingedBytes = pushedBytes;
        attachment.ping(pushedBytes);
      }
    }
    return true;
  };

  /** Pushes nothing until the client has had a moment for what it was answered. */
  const settle = (whose: Attachment, count: number) => {
    const go = () => {
      clearTimeout(timer);
      if (settling !== mine) return;
      settling = undefined;
      if (attachment === whose) pumpAll();
    };
    let timer = setTimeout(go, HOLD_MS);
    const mine = {
      count,
      answered() {
        clearTimeout(timer);
        timer = setTimeout(go, SETTLE_MS);
      },
    };
    settling = mine;
  };

  /** Nothing of it is left to push to the present connection, or to the next one. */
  const isPushed = ({ source, cursor, held }: Feed) =>
    attachment ? held || cursor >= source.log.lastSeq : source.deliveredSeq >= source.log.lastSeq;

  const pump = (feed: Feed) => {
    const drain = () => {
      while (pushNext(feed));
    };
    // Each message of its own is a system call here, and wakes the client once more.
    if (attachment && feed.source.log.lastSeq - feed.cursor > 1) attachment.together(drain);
    else drain();
  };

  /** One firehose must not starve the others: after a congestion the feeds take turns, one event each. */
  const pumpAll = () => {
    for (let busy = true; busy;) {
      busy = false;
      for (const feed of feeds.values()) busy = pushNext(feed) || busy;
    }
  };

  const waitForDrain = (congested: Attachment) => {
    waiting = true;
    congested.onDrain(() => {
      if (attachment !== congested) return;
      waiting = false;
      pumpAll();
    });
  };

  const release = () => {
    for (const feed of feeds.values()) {
      if (!feed.held) continue;
      // As the reference server does; but what would fill the log for good is pushed instead of only kept.
      const { deliveredSeq, undeliveredBytes } = feed.source;
      reset(feed, undeliveredBytes > PONG_SLACK_BYTES ? deliveredSeq : feed.resumeAt, false);
    }
    pumpAll();
  };

  const reset = (feed: Feed, cursor: number, held: boolean) => {
    feed.cursor = cursor;
    feed.held = held;
    feed.inFlight = [];
    feed.inFlightBytes = 0;
  };

  /** Pushes until the log is closed, and forgets the feed when all has been pushed for a whole time to live. */
  const follow = (feed: Feed, isHere: () => boolean, over?: () => void) => {
    const { id: name, log } = feed.source;
    let timer: NodeJS.Timeout | undefined;
    feeds.set(name, feed);
    const retire = () => {
      unsubscribe();
      const wasPushed = isPushed(feed);
      timer = setTimeout(() => {
        if (isHere() && !(wasPushed && isPushed(feed))) return retire();
        if (feeds.get(name) === feed) feeds.delete(name);
        over?.();
      }, session.ttlMs).unref();
    };
    const unsubscribe = log.subscribe(() => {
      pump(feed);
      if (log.closed) retire();
    });
    feed.stop = () => {
      unsubscribe();
      clearTimeout(timer);
    };
    pump(feed);
    if (log.closed) retire();
  };

  const observations = createObservations({
    most: options.maxObservations,
    feeds,
    isTaken: (name) => processes.get(name) !== undefined,
    follow: (feed) => follow(feed, () => feeds.get(feed.source.id) === feed),
    release(feed, cursor) {
      reset(feed, cursor, false);
      pump(feed);
    },
  });

  /** Ended processes are kept for a time to live, but not without end: the oldest goes of which the client has everything. */
  const keepFew = () => {
    if (processes.size < fewUntil) return;
    let tooMany = processes.size - MAX_KEPT_PROCESSES;
    for (const { id: name, log } of processes.all()) {
      if (tooMany <= 0) break;
      if (!log.closed || log.deliveredSeq < log.lastSeq) continue;
      tooMany--;
      feeds.get(name)?.stop();
      feeds.delete(name);
      processes.remove(name);
      log.dispose();
    }
    fewUntil = Math.max(MAX_KEPT_PROCESSES, processes.size) + KEEP_SLACK;
  };

  const session: Session = {
    id,
    processes,
    observations,
    ttlMs: options.ttlMs,
    get attachment() {
      return attachment;
    },
    attach(next, cursors) {
      attachment?.evict();
      attachment = next;
      waiting = false;
      settling = undefined;
      pushedBytes = pingedBytes = 0;
      provisional = [];
      clearTimeout(holdTimer);
      for (const feed of feeds.values()) {
        const { source } = feed;
        const { log, observation } = source;
        const known = cursors.get(source.id);
        if (known !== undefined) source.deliver(known);
        const from = Math.max(known ?? source.deliveredSeq, (observation?.firstSeq ?? 1) - 1);
        reset(feed, Math.min(from, log.lastSeq), known === undefined);
        // The newest event of an observed process may still grow: it must not be taken for known.
        feed.resumeAt = observation ? source.deliveredSeq : log.lastSeq;
        source.setAttached(true);
      }
      if (!next.acknowledges) holdTimer = setTimeout(release, HOLD_MS);
      // The answer to `initialize` goes out first.
      queueMicrotask(pumpAll);
    },
    detach(gone) {
      if (attachment !== gone) return;
      attachment = undefined;
      waiting = false;
      settling = undefined;
      clearTimeout(holdTimer);
      for (const { source } of feeds.values()) source.setAttached(false);
    },
    watch(process) {
      if (feeds.has(process.id)) return; // the same start again
      if (!attachment) process.log.setAttached(false);
      keepFew();
      const isHere = () => processes.get(process.id) === process; // false: the session has ended
      follow(createFeed(ownSource(process)), isHere, () => {
        if (isHere()) processes.remove(process.id);
        process.log.dispose();
      });
    },
    acknowledge(processId, seq) {
      const feed = feeds.get(processId);
      if (!feed) return;
      const { source } = feed;
      const { log } = source;
      // It cannot have what was not sent; while the feed is held, an earlier connection may have sent it.
      const acknowledged = Math.min(seq, feed.held ? log.lastSeq : feed.cursor);
      while (feed.inFlight[0] && feed.inFlight[0].seq <= acknowledged) {
        feed.inFlightBytes -= feed.inFlight.shift()?.bytes ?? 0;
      }
      source.deliver(acknowledged);
      // The name of an observation is free again, and its place, as soon as its client has the end.
      const isOver = source.observation && attachment?.acknowledges && log.closed;
      if (isOver && source.deliveredSeq >= log.lastSeq) return observations.end(processId);
      pump(feed);
    },
    pong(count) {
      if (settling !== undefined && count >= settling.count) settling.answered();
      let index = 0;
      for (; index < provisional.length; index++) {
        const sent = provisional[index];
        if (!sent || sent.end > count - PONG_SLACK_BYTES) break;
        sent.feed.source.deliver(sent.seq);
      }
      provisional = provisional.slice(index);
    },
    answered(processId, seq, chunks) {
      const feed = feeds.get(processId);
      if (!feed?.held || !attachment) return;
      reset(feed, seq, false);
      if (!attachment.acknowledges && chunks.length > 0) {
        // A pong must prove these too: uncounted they would stay undelivered and fill the log for good.
        for (const { seq: sent, chunk } of chunks) {
          pushedBytes += chunk.length;
          provisional.push({ feed, seq: sent, end: pushedBytes });
        }
        pingedBytes = pushedBytes;
        attachment.ping(pushedBytes);
        settle(attachment, pushedBytes);
      }
      pump(feed);
    },
  };
  return session;
}
