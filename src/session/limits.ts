/** How many sessions and processes a server has. */
import { limitReached } from "../protocol/error.ts";
import type { ProcessQuota } from "../process/quota.ts";

/** Sessions of a server, those without a connection too (`--max-sessions`). */
export const DEFAULT_MAX_SESSIONS = 4096;
/** Processes of all sessions that have not ended (`--max-processes`). */
export const DEFAULT_MAX_PROCESSES = 4096;
/** Processes of one session that have not ended (`--max-session-processes`). */
export const DEFAULT_MAX_SESSION_PROCESSES = 1024;
/** Processes of other sessions that one session may watch (`--max-observations`). */
export const DEFAULT_MAX_OBSERVATIONS = 256;
/**
 * Processes of one session whose record is kept, ended ones too. Beyond it the oldest is forgotten of which the client
 * has everything.
 */
export const MAX_KEPT_PROCESSES = 1024;

/** The limits of a registry. */
export interface SessionLimits {
  readonly sessions: number;
  readonly processes: number;
  readonly sessionProcesses: number;
  readonly observations: number;
}

/** For programs that use this machine directly. */
export const NO_LIMITS: SessionLimits = {
  sessions: Infinity,
  processes: Infinity,
  sessionProcesses: Infinity,
  observations: Infinity,
};

/** A quota of which nothing is used. */
export function createProcessQuota(limits: SessionLimits): ProcessQuota {
  let running = 0;
  return {
    take(ownRunning) {
      if (ownRunning >= limits.sessionProcesses) {
        throw limitReached(
          `this session has ${limits.sessionProcesses} processes already`,
          "--max-session-processes",
          "end one",
        );
      }
      if (running >= limits.processes) {
        throw limitReached(
          `this server has ${limits.processes} processes already`,
          "--max-processes",
          "try again later",
        );
      }
      running++;
      let taken = true;
      return () => {
        if (taken) running--;
        taken = false;
      };
    },
  };
}
