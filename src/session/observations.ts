/** The processes of other sessions that a session observes: their feeds are among its own. */
import type { LocalProcess } from "../process/local_process.ts";
import type { Observation, ObserveRequest } from "../process/observation.ts";
import { invalidRequest } from "../protocol/error.ts";
import { clip } from "../protocol/quote.ts";
import { createFeed, type Feed, observedSource } from "./feed.ts";

/** What a session observes. */
export interface Observations {
  /**
   * Begins to observe a process; the same request again is the same observation. Nothing is pushed before
   * {@link answered}.
   * @param find gets the process. It is not called for an observation that exists.
   * @throws ExecServerError `INVALID_REQUEST` when the name is in use or there are too many; what `find` throws
   */
  begin(request: ObserveRequest, find: () => LocalProcess): Observation;
  /** The answer to that is out: from now on its events may go. */
  answered(name: string): void;
  /** What is observed under a name. */
  get(name: string): Observation | undefined;
  /** Ends an observation, if there is one of this name. */
  end(name: string): void;
  /** Ends all of them: the session is over. */
  endAll(): void;
}

/** What observations need of their session. */
export interface FeedOwner {
  readonly feeds: Map<string, Feed>;
  /** Observations that there may be, with those whose end has not been acknowledged: each costs its process some work. */
  readonly most: number;
  /** True when a process of the session has the name. */
  isTaken(name: string): boolean;
  /** Begins to follow the log of a feed. */
  follow(feed: Feed): void;
  /** Lets a feed push that was held, after `cursor`. */
  release(feed: Feed, cursor: number): void;
}

/** No observations yet. */
export function createObservations(owner: FeedOwner): Observations {
  const { feeds } = owner;
  const get = (name: string) => feeds.get(name)?.source.observation;
  const end = (name: string) => {
    if (!get(name)) return;
    feeds.get(name)?.stop();
    feeds.delete(name);
  };
  const names = () => [...feeds.keys()].filter(get);
  return {
    begin(request, find) {
      const { name } = request;
      const existing = get(name);
      if (existing && isSame(existing.request, request)) return existing;
      if (existing || owner.isTaken(name)) throw invalidRequest(`process ${clip(name)} already exists`);
      if (names().length >= owner.most) {
        throw invalidRequest(
          `this session has ${owner.most} observations already: end one, or raise --max-observations`,
        );
      }
      const source = observedSource(find(), request);
      owner.follow(createFeed(source));
      return source.observation;
    },
    answered(name) {
      const feed = feeds.get(name);
      // Not held: it was asked for again on the connection that gets the events already.
      if (feed?.held && feed.source.observation) owner.release(feed, feed.source.observation.firstSeq - 1);
    },
    get,
    end,
    endAll: () => names().forEach(end),
  };
}

function isSame(one: ObserveRequest, other: ObserveRequest): boolean {
  return one.sessionId === other.sessionId && one.processId === other.processId;
}
