/** Which temporary files helpers left that were killed, for the next helper of the same policy. */

/** What is to be removed yet. */
export interface Leftovers {
  /** What a helper of a policy left. */
  add(policy: string, uris: Iterable<string>): void;
  /** Has everything of a policy removed; what cannot be removed now is kept for the next time. */
  discard(policy: string, remove: (uris: readonly string[]) => Promise<unknown>): Promise<void>;
}

/** Files that are remembered, the latest: a helper that is killed leaves one for each write that was on its way. */
const MAX_LEFTOVERS = 1024;

/** Nothing is left yet. */
export function createLeftovers(): Leftovers {
  const policies = new Map<string, string>(); // by URI; in the order in which they were left
  return {
    add(policy, uris) {
      for (const uri of uris) policies.set(uri, policy);
      for (const uri of policies.keys()) {
        if (policies.size <= MAX_LEFTOVERS) break;
        policies.delete(uri);
      }
    },
    async discard(policy, remove) {
      const uris = [...policies].filter(([, one]) => one === policy).map(([uri]) => uri);
      if (uris.length === 0) return;
      try {
        await remove(uris);
      } catch {
        return; // that helper has ended too
      }
      for (const uri of uris) policies.delete(uri);
    },
  };
}
