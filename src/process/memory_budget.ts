/**
 * The memory that the output of all processes takes together. Each process has a share that is small for itself; of
 * some hundred loud ones it would be all there is. Beyond the budget the logs move what they have to their files, one
 * after the other.
 */

/** Output of all processes of a server that is kept in memory; the rest is in the spill files. */
export const MAX_MEMORY_BYTES = 32 * 1024 * 1024;
/** After it has been too much: room for a while, so that not every new block moves another one. */
const ENOUGH = 0.75;

/** One log, as far as the budget knows it. */
export interface MemoryUser {
  /** Moves what it can to its file. Returns the bytes that it still has in memory. */
  spill(): number;
}

/** What all logs of a server have in memory. */
export interface MemoryBudget {
  /** Bytes of all of them. */
  readonly bytes: number;
  /** Says how much a log has now; 0 makes the budget forget it. */
  set(user: MemoryUser, bytes: number): void;
}

/**
 * A budget of which nothing is used.
 * @param maxBytes beyond it logs are told to spill
 */
export function createMemoryBudget(maxBytes: number): MemoryBudget {
  /** Who has something in memory, least recently told to spill first. */
  const users = new Map<MemoryUser, number>();
  let sum = 0;

  const set = (user: MemoryUser, bytes: number) => {
    sum += bytes - (users.get(user) ?? 0);
    if (bytes === 0) users.delete(user);
    else users.set(user, bytes);
  };

  const relieve = () => {
    for (const user of [...users.keys()]) {
      if (sum <= maxBytes * ENOUGH) return;
      const bytes = user.spill();
      set(user, 0);
      set(user, bytes); // behind the others
    }
  };

  return {
    get bytes() {
      return sum;
    },
    set(user, bytes) {
      const before = users.get(user) ?? 0;
      set(user, bytes);
      if (bytes > before && sum > maxBytes) relieve();
    },
  };
}
