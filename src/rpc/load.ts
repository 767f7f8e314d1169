/** What all connections of a server have under way together: none may take what the others need. */

/** Bytes that wait for all sockets together; from then on a connection gets no more than {@link FAIR_BYTES}. */
export const MAX_OUTGOING_BYTES = 16 * 1024 * 1024;
/** What one connection may have waiting, in either direction, however much the others have. */
export const FAIR_BYTES = 64 * 1024;
/** Bytes of the ordinary requests of one connection that have not been answered; then its socket is not read. */
export const MAX_REQUEST_BYTES = 8 * 1024 * 1024;
/** What a request takes besides its text. */
export const REQUEST_OVERHEAD_BYTES = 1024;
/** Bytes of the ordinary requests of all connections; from then on one gets no more than {@link FAIR_BYTES}. */
export const MAX_ALL_REQUEST_BYTES = 32 * 1024 * 1024;
/** Ordinary requests of all connections that run at the same time: each may have a file open. */
export const MAX_RUNNING_REQUESTS = 128;
/** Ordinary requests that a connection may always run. */
export const FAIR_REQUESTS = 2;

/** The sums. */
export interface Load {
  /** Bytes that wait for sockets. */
  outgoingBytes: number;
  /** Bytes of ordinary requests without an answer. */
  requestBytes: number;
  /** Ordinary requests that run. */
  running: number;
}

/** Nothing under way. */
export function createLoad(): Load {
  return { outgoingBytes: 0, requestBytes: 0, running: 0 };
}
