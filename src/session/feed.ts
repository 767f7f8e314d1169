/** What a session pushes of one process: its own, or one of another session that it only observes. */
import type { LocalProcess } from "../process/local_process.ts";
import type { Observation, ObserveRequest } from "../process/observation.ts";
import type { LogView } from "../process/output_log.ts";

/** Where the events of a feed come from, and who is told that they have arrived. */
export interface FeedSource {
  /** Its name in the session. */
  readonly id: string;
  readonly log: LogView;
  /** What it observes; undefined for a process of the session's own. */
  readonly observation: Observation | undefined;
  /** The client has everything up to here. */
  readonly deliveredSeq: number;
  /** Bytes for which the process may have to wait. */
  readonly undeliveredBytes: number;
  /** The client has everything up to `seq`. */
  deliver(seq: number): void;
  /** There is a connection, or none. */
  setAttached(attached: boolean): void;
}

/** A feed and how far it has come. */
export interface Feed {
  readonly source: FeedSource;
  /** The last event that was pushed or answered. */
  cursor: number;
  /** Pushing waits until the client has read what it missed, or has been answered. */
  held: boolean;
  /** What a client that does not read is pushed after: the newest event at the time it came. */
  resumeAt: number;
  /** Pushed and not acknowledged, oldest first. */
  inFlight: { readonly seq: number; readonly bytes: number }[];
  inFlightBytes: number;
  /** Follows the log no more. */
  stop: () => void;
}

/** A feed that has pushed nothing yet. */
export function createFeed(source: FeedSource): Feed {
  const cursor = (source.observation?.firstSeq ?? 1) - 1;
  const held = source.observation !== undefined;
  return { source, cursor, held, resumeAt: cursor, inFlight: [], inFlightBytes: 0, stop: () => {} };
}

/** A process of the session: what its client has decides what the log keeps, and whether the process has to wait. */
export function ownSource({ id, log }: LocalProcess): FeedSource {
  return {
    id,
    log,
    observation: undefined,
    get deliveredSeq() {
      return log.deliveredSeq;
    },
    get undeliveredBytes() {
      return log.undeliveredBytes;
    },
    deliver: (seq) => log.deliver(seq),
    setAttached: (attached) => log.setAttached(attached),
  };
}

/** A process of another session: what its observer has is nobody's business but its own. */
export function observedSource(
  process: LocalProcess,
  request: ObserveRequest,
): FeedSource & { readonly observation: Observation } {
  const { argv, tty } = process;
  const log = process.log.observed;
  const after = Math.min(request.afterSeq ?? 0, log.lastSeq);
  const firstSeq = Math.max(after + 1, log.firstSeq);
  let deliveredSeq = firstSeq - 1;
  return {
    id: request.name,
    log,
    observation: { request, argv, tty, log, firstSeq },
    get deliveredSeq() {
      return deliveredSeq;
    },
    undeliveredBytes: 0,
    deliver: (seq) => void (deliveredSeq = Math.max(deliveredSeq, Math.min(seq, log.lastSeq))),
    setAttached: () => {},
  };
}
