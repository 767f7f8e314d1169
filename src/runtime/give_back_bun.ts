/** madvise(2) for the program's own code. */
import { readFileSync, readlinkSync } from "node:fs";
import { libcSymbols } from "./bun.ts";

const MADV_DONTNEED = 4; // asm-generic/mman-common.h

let advise: ((address: number, length: number, advice: number) => number) | undefined;

/**
 * Unmaps the pages of the executable's code: of 33 MB that the start maps an idle server needs a tenth. What is used
 * again is mapped again from the page cache, 64 KiB at a time. Code is never written to, so nothing can be lost.
 */
export function giveBackCode(): void {
  try {
    const executable = readlinkSync("/proc/self/exe");
    advise ??= libcSymbols({ madvise: { args: ["ptr", "u64", "i32"], returns: "i32" } }).madvise;
    for (const line of readFileSync("/proc/self/maps", "utf8").split("\n")) {
      const found = /^([0-9a-f]+)-([0-9a-f]+) r-xp \S+ \S+ \d+ +(\/.*)$/.exec(line);
      if (found?.[1] === undefined || found[2] === undefined || found[3] !== executable) continue;
      const from = Number.parseInt(found[1], 16);
      advise(from, Number.parseInt(found[2], 16) - from, MADV_DONTNEED);
    }
  } catch {
    // no /proc: it is only memory
  }
}
