/** preadv2(2) under Bun. */
import { libcSymbols, ptr } from "./bun.ts";
import type { ReadCached } from "./cached_read.ts";

const RWF_NOWAIT = 8; // linux/fs.h; 4.14 for files

/** Undefined where libc has no preadv2 (before glibc 2.26). */
export function createReadCached(): ReadCached | undefined {
  const vector = new BigUint64Array(2); // struct iovec: address, length
  try {
    const { preadv2 } = libcSymbols({
      preadv2: { args: ["i32", "ptr", "i32", "i64", "i32"], returns: "i64" },
    });
    return (fd, into) => {
      const address = ptr(into);
      if (typeof address !== "number") return undefined;
      vector[0] = BigInt(address);
      vector[1] = BigInt(into.length);
      const length = Number(preadv2(fd, ptr(vector), 1, 0, RWF_NOWAIT));
      return length < 0 ? undefined : length; // EAGAIN: on the disk; EOPNOTSUPP: the file system cannot tell
    };
  } catch {
    return undefined;
  }
}
