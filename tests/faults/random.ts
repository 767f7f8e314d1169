/** Random numbers that can be had again: every fault test prints its seed. */
import process from "node:process";

/** True for the sizes of the list instead of those of an ordinary run. */
export const isFull: boolean = process.env["EXEC_SERVER_FULL"] === "1";

/** Numbers from a seed. */
export interface Random {
  /** From 0 up to, not including, `limit`. */
  below(limit: number): number;
  /** One of the given values. */
  pick<T>(...values: readonly [T, ...T[]]): T;
}

/** mulberry32: small, and the same everywhere. */
export function createRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  return {
    below: (limit) => Math.floor(next() * limit),
    pick: (first, ...rest) => {
      const index = Math.floor(next() * (rest.length + 1));
      return index === 0 ? first : rest[index - 1] ?? first;
    },
  };
}

/** EXEC_SERVER_SEED (one, or several with commas between), else so many new ones. */
export function seeds(count: number): number[] {
  const given = process.env["EXEC_SERVER_SEED"];
  if (given !== undefined && given !== "") return given.split(",").map(Number);
  const first = Math.floor(Math.random() * 2 ** 31);
  return Array.from({ length: count }, (_, index) => (first + index * 7919) % 2 ** 31);
}

/** EXEC_SERVER_SEEDS, else as many as the run is meant to have. */
export function seedCount(ordinary: number, full: number): number {
  const given = process.env["EXEC_SERVER_SEEDS"];
  return given !== undefined && given !== "" ? Number(given) : isFull ? full : ordinary;
}
