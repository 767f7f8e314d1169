/** prctl(2) under Bun, which has no API for it. 64-bit Linux. */
import { libcSymbols } from "./bun.ts";

const PR_SET_DUMPABLE = 4;

/** False when the kernel refuses. */
export function becomeUndumpableBun(): boolean {
  const libc = libcSymbols({ prctl: { args: ["i32", "u64", "u64", "u64", "u64"], returns: "i32" } });
  return libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) === 0;
}
