/** A process of another session that is watched and not owned: what is asked for, and what is answered. */
import { type ExecServerError, invalidRequest } from "../protocol/error.ts";
import { clip } from "../protocol/quote.ts";
import type { LogView } from "./output_log.ts";

/** What an observer asks for. */
export interface ObserveRequest {
  /** The session that owns the process. */
  readonly sessionId: string;
  /** The process's name there. */
  readonly processId: string;
  /** Its name in the observer's session. */
  readonly name: string;
  /** Events up to this one are not wanted. Undefined: all that are retained are. */
  readonly afterSeq: number | undefined;
}

/** What an observer gets. */
export interface Observation {
  readonly request: ObserveRequest;
  readonly argv: readonly string[];
  readonly tty: boolean;
  readonly log: LogView;
  /** Number of the first event that is pushed. */
  readonly firstSeq: number;
}

/** What an observer is told when it wants to do more than that. */
export function onlyObserved(name: string): ExecServerError {
  return invalidRequest(`process ${clip(name)} is only observed`);
}
