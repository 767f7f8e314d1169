/** How much undelivered output is kept, and where. Bytes and events. */
import { tmpdir } from "node:os";
import { createMemoryBudget, MAX_MEMORY_BYTES, type MemoryBudget } from "./memory_budget.ts";

/** Output of one process that is kept in memory. Delivered output up to this much stays readable. */
export const MEMORY_BYTES = 1024 * 1024;
/**
 * Undelivered output of an attached process above which it has to wait. More than the newest 1 MiB of a connection
 * that no pong counts for (`PONG_SLACK_BYTES` in session/), or a client of the plain wire would stall.
 */
export const MAX_ATTACHED_BYTES = 2.5 * 1024 * 1024;
/** Events of an attached process that wait for their reader before the process has to. */
export const MAX_ATTACHED_EVENTS = 16_384;
/** The same while no connection is attached. Small chunks are joined, so this is far beyond what most need. */
export const MAX_DETACHED_EVENTS = 65_536;
/**
 * Events that are small only because an observer has read the one before: those do not count for the limits above, so
 * there is one for them. Beyond it observers wait until an event is complete.
 */
export const MAX_OBSERVER_EVENTS = 16_384;
/** `--retained-output`: what one process may leave undelivered while nobody is attached. */
export const DEFAULT_RETAINED_BYTES = 256 * 1024 * 1024;
/** What all processes of a server may leave undelivered together. */
export const DEFAULT_SERVER_RETAINED_BYTES = 2 * 1024 * 1024 * 1024;
/** What a process may use even when the others have used up the server's budget: one session cannot starve another. */
export const GUARANTEED_BYTES = 4 * 1024 * 1024;

/** The rules for one log. */
export interface Retention {
  /** Limit of undelivered bytes while nobody is attached; undelivered output is never dropped below it. */
  readonly maxBytes: number;
  /** Drop the oldest undelivered output instead of holding the process back (`--when-full drop-oldest`). */
  readonly dropOldest: boolean;
  /** Where output goes that has no room in memory. Undefined: nowhere, the producer waits. */
  readonly spillFolder: string | undefined;
  /** What all logs together have in memory; without it each has its own limits only. */
  readonly memory?: MemoryBudget | undefined;
  /** The server's total. */
  readonly shared: { usedBytes: number; readonly maxBytes: number };
}

/** The rules of a server's processes by default. */
export function defaultRetention(): Retention {
  return {
    maxBytes: DEFAULT_RETAINED_BYTES,
    dropOldest: false,
    spillFolder: tmpdir(),
    memory: createMemoryBudget(MAX_MEMORY_BYTES),
    shared: { usedBytes: 0, maxBytes: DEFAULT_SERVER_RETAINED_BYTES },
  };
}

/** The rules of a log whose reader is always there: memory only. */
export function memoryRetention(): Retention {
  return {
    maxBytes: MEMORY_BYTES,
    dropOldest: false,
    spillFolder: undefined,
    shared: { usedBytes: 0, maxBytes: Infinity },
  };
}
