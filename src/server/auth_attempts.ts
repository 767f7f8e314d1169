/** A limit on failed attempts to authenticate: a token bucket for each address. */

/** Failures in a row that an address may have. */
export const MAX_FAILED_ATTEMPTS = 20;
/** After those: one more each so many ms. */
export const ATTEMPT_EVERY_MS = 3_000;
/** Addresses that are remembered; beyond, the one that failed longest ago is forgotten. */
const MAX_ADDRESSES = 10_000;

/** What failed lately. */
export interface Attempts {
  /** How long an address must wait before its next attempt counts, in ms; 0: not at all. */
  waitMs(address: string): number;
  /** One more failure. */
  failed(address: string): void;
}

/** Remembers failures. @param now a clock in ms; for tests */
export function createAttempts(now: () => number = () => performance.now()): Attempts {
  /** For each address the moment when all of its failures are forgiven. */
  const forgiven = new Map<string, number>();
  const owed = (key: string) => Math.max((forgiven.get(key) ?? 0) - now(), 0);
  return {
    waitMs: (address) => Math.max(owed(keyOf(address)) - (MAX_FAILED_ATTEMPTS - 1) * ATTEMPT_EVERY_MS, 0),
    failed(address) {
      const key = keyOf(address);
      // Failures beyond the limit do not count: they would lock an address out for ever.
      const most = MAX_FAILED_ATTEMPTS * ATTEMPT_EVERY_MS;
      const until = now() + Math.min(owed(key) + ATTEMPT_EVERY_MS, most);
      forgiven.delete(key); // to the end of the order
      forgiven.set(key, until);
      const [oldest] = forgiven.keys();
      if (forgiven.size > MAX_ADDRESSES && oldest !== undefined) forgiven.delete(oldest);
    },
  };
}

/** One customer of IPv6 has a whole /64 (RFC 6177). */
function keyOf(address: string): string {
  if (!address.includes(":") || address.includes(".")) return address;
  const [head = "", tail] = address.split("::");
  const groups = head.split(":");
  const missing = tail === undefined ? 0 : 8 - groups.length - tail.split(":").length;
  const zeros: string[] = new Array(Math.max(missing, 0)).fill("0");
  return [...groups, ...zeros, ...(tail ?? "").split(":")].slice(0, 4).join(":");
}
