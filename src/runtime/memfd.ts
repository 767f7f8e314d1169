/**
 * Bytes for a child as a descriptor: the seccomp filter, arguments. No name, so that nothing stays on disk and nobody
 * can put other bytes into its place.
 */
import { closeSync, constants, mkdtempSync, openSync, rmdirSync, unlinkSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { runtime } from "./detect.ts";

const O_CLOEXEC = 0o2000000; // Linux, all architectures that are supported (fcntl.h)

/** A descriptor that holds bytes. */
export interface SealedDescriptor {
  /**
   * Open for reading at offset 0, and not inherited unless a spawn hands it on explicitly. For one child: a second one
   * would share the offset and find the bytes read already.
   */
  readonly fd: number;
  /** Closes it. The child has its own copy once it has been started. */
  close(): void;
}

// Loaded once and before use, so that the function can be called between two steps of a spawn that must not wait.
const memoryFile = runtime === "bun" ? (await import("./memfd_bun.ts")).memoryFile : undefined;

/**
 * A new descriptor from which a child can read `bytes`: sealed memory under Bun on Linux, else a file that has lost its
 * name. Undefined when neither can be made, as on other systems; what depends on it must then be refused.
 */
export function sealedDescriptor(bytes: Uint8Array): SealedDescriptor | undefined {
  if (process.platform !== "linux") return undefined; // no /proc/self/fd
  try {
    const fd = memoryFile?.(bytes) ?? namelessFile(bytes);
    let open = true;
    return {
      fd,
      close() {
        if (!open) return; // the number may be somebody else's by now
        open = false;
        closeSync(fd);
      },
    };
  } catch {
    return undefined;
  }
}

function namelessFile(bytes: Uint8Array): number {
  const folder = mkdtempSync(join(tmpdir(), "exec-server-bytes-"));
  const path = join(folder, "bytes");
  let fd: number | undefined;
  try {
    fd = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | O_CLOEXEC, 0o600);
    for (let done = 0; done < bytes.length;) done += writeSync(fd, bytes, done, bytes.length - done, done);
    // By descriptor and not by name: it is the same file whatever happened to the folder meanwhile.
    return openSync(`/proc/self/fd/${fd}`, constants.O_RDONLY | O_CLOEXEC);
  } finally {
    if (fd !== undefined) {
      closeSync(fd);
      unlinkSync(path);
    }
    rmdirSync(folder);
  }
}
