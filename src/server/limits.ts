/**
 * What a server gives all its clients together, so that no client takes what another one needs. Each is an option of
 * `serve`; a request beyond one fails with `LIMIT_REACHED`, and everybody else goes on.
 */
import { readFileSync } from "node:fs";
import { MAX_FILE_HANDLES, MAX_MESSAGE_BYTES } from "../protocol/limits.ts";
import {
  DEFAULT_MAX_OBSERVATIONS,
  DEFAULT_MAX_PROCESSES,
  DEFAULT_MAX_SESSION_PROCESSES,
  DEFAULT_MAX_SESSIONS,
  type SessionLimits,
} from "../session/limits.ts";

/** Open connections (`--max-connections`). An idle one takes 17 KB of the server's memory, with its session. */
const DEFAULT_MAX_CONNECTIONS = 4096;
/** Time for the request to upgrade, and again for `initialize`, in ms (`--handshake-timeout`). */
const DEFAULT_HANDSHAKE_MS = 10_000;
/** Connections beyond `--max-connections` whose request has not come yet; the oldest makes room for a new one. */
export const MAX_UNFINISHED_REQUESTS = 256;
/** Share of a server's file descriptors that connections may have; the other half is for processes and files. */
const CONNECTION_SHARE = 0.5;
/** Descriptors that a process may take: three pipes, its pidfd and a spill file. */
const DESCRIPTORS_OF_A_PROCESS = 5;

/** The limits of a server. */
export interface Limits extends SessionLimits {
  readonly connections: number;
  readonly handshakeMs: number;
  /** The largest message that a client may send, in bytes (`--max-message`). */
  readonly messageBytes: number;
  /** Files that one connection may have open (`--max-file-handles`). */
  readonly fileHandles: number;
  /** Senders of large unfinished messages are held back, so that all of those together stay small. */
  readonly boundIncoming: boolean;
}

/** The defaults. */
export const DEFAULT_LIMITS: Limits = {
  connections: DEFAULT_MAX_CONNECTIONS,
  handshakeMs: DEFAULT_HANDSHAKE_MS,
  messageBytes: MAX_MESSAGE_BYTES,
  boundIncoming: false,
  sessions: DEFAULT_MAX_SESSIONS,
  processes: DEFAULT_MAX_PROCESSES,
  sessionProcesses: DEFAULT_MAX_SESSION_PROCESSES,
  fileHandles: MAX_FILE_HANDLES,
  observations: DEFAULT_MAX_OBSERVATIONS,
};

/**
 * The same limits, lowered to what so many file descriptors are enough for: connections get half of them, and the
 * processes the other half.
 */
export function withinDescriptors(limits: Limits, descriptors: number): Limits {
  const half = Math.floor(descriptors * CONNECTION_SHARE);
  return {
    ...limits,
    connections: Math.min(limits.connections, half),
    processes: Math.min(limits.processes, Math.floor((descriptors - half) / DESCRIPTORS_OF_A_PROCESS)),
  };
}

/**
 * How many file descriptors this program may have: its soft limit, which every runtime of ours raises to the hard one
 * when it starts. Infinity where the system does not tell.
 */
export function descriptorLimit(): number {
  try {
    const soft = /^Max open files +(\d+)/m.exec(readFileSync("/proc/self/limits", "latin1"))?.[1];
    return soft === undefined ? Infinity : Number(soft);
  } catch {
    return Infinity;
  }
}
