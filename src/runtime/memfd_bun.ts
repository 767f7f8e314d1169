/** memfd_create(2) under Bun. */
import { closeSync, writeSync } from "node:fs";
import { Buffer } from "node:buffer";
import { libc, libcSymbols, ptr } from "./bun.ts";

// linux/memfd.h and linux/fcntl.h, the same on all architectures
const MFD_CLOEXEC = 1;
const MFD_ALLOW_SEALING = 2;
const F_ADD_SEALS = 1033;
const F_SEAL_SEAL = 1;
const F_SEAL_SHRINK = 2;
const F_SEAL_GROW = 4;
const F_SEAL_WRITE = 8;
const NAME = "exec-server";

let create: ((name: unknown, flags: number) => number) | null | undefined;

/**
 * A sealed file in memory with these bytes, its offset at 0: whoever inherits it can read it and nothing else.
 * Undefined when libc (before glibc 2.27) or the kernel has none.
 */
export function memoryFile(bytes: Uint8Array): number | undefined {
  const name = Buffer.from(`${NAME}\0`);
  const fd = creator()?.(ptr(name), MFD_CLOEXEC | MFD_ALLOW_SEALING) ?? -1;
  if (fd < 0) return undefined;
  try {
    for (let done = 0; done < bytes.length;) {
      done += writeSync(fd, bytes, done, bytes.length - done, done); // with a position: the offset stays
    }
    const seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
    if (libc.fcntl(fd, F_ADD_SEALS, seals) !== 0) throw new Error("the memory file cannot be sealed");
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

function creator(): ((name: unknown, flags: number) => number) | null {
  if (create !== undefined) return create;
  try {
    create = libcSymbols({ memfd_create: { args: ["ptr", "u32"], returns: "i32" } }).memfd_create;
  } catch {
    create = null;
  }
  return create;
}
