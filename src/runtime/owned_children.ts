/** Pids of children that some part of this program waits for itself. */
const pids = new Set<number>();

/**
 * The children that have an owner, from their spawn until they have been reaped. A reaper of orphans must leave
 * these alone: reaping one would take its exit code away from its owner.
 */
export const ownedChildren: {
  add(pid: number): void;
  delete(pid: number): void;
  has(pid: number): boolean;
} = {
  add: (pid) => void pids.add(pid),
  delete: (pid) => void pids.delete(pid),
  has: (pid) => pids.has(pid),
};
