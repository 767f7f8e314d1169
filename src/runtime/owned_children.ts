/** Pids of children that some part of this program waits for itself. Every spawn that can be waited for enters its own. */
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

/** Enters a child of `node:child_process` until it has been reaped. Call it in the turn of the spawn. */
export function owned(child: {
  readonly pid?: number | undefined;
  once(event: "exit", listener: () => void): unknown;
}): void {
  const { pid } = child;
  if (pid === undefined) return; // it could not be started
  pids.add(pid);
  child.once("exit", () => pids.delete(pid));
}
