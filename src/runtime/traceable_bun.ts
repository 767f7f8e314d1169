/** prctl(2) under Bun, which has no API for it. 64-bit Linux. */
import { libcSymbols } from "./bun.ts";

const PR_SET_DUMPABLE = 4;

/** Sets whether this program may be traced and dumps cores. */
export function setDumpable(dumpable: boolean): void {
  const libc = libcSymbols({ prctl: { args: ["i32", "u64", "u64", "u64", "u64"], returns: "i32" } });
  libc.prctl(PR_SET_DUMPABLE, dumpable ? 1 : 0, 0, 0, 0); // never refused
}
