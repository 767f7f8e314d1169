/**
 * Small files that are in memory already. Each step of a read is a turn of the thread pool, and seven of them take
 * longer than all else of a request; here it is one. Nothing in it waits for a disk or a network: only files on local
 * file systems are opened, and only what the kernel has in memory is read.
 */
import { Buffer } from "node:buffer";
import { closeSync, constants, fstatSync, openSync, type Stats } from "node:fs";
import { statfs } from "node:fs/promises";
import { loadReadCached, type ReadCached } from "../runtime/cached_read.ts";
import type { NativePath } from "./native_path.ts";

/** Larger ones take longer to copy than a turn of the thread pool. */
const SMALL_BYTES = 64 * 1024;
/** How long it is known whether a device is local, in ms: its number may be another one's after an unmount. */
const KNOWN_MS = 10_000;
const MAX_KNOWN = 256;

/** Where opening a file asks no other machine and no other program (statfs(2), linux/magic.h). */
const LOCAL_TYPES: ReadonlySet<number> = new Set([
  0xef53, // ext2, ext3, ext4
  0x58465342, // xfs
  0x9123683e, // btrfs
  0xf2f52010, // f2fs
  0x2fc12fc1, // zfs
  0x01021994, // tmpfs
  0x794c7630, // overlayfs, the root of a container
]);

const known = new Map<number, { readonly local: boolean; readonly until: number }>();

/**
 * The content of a file, when it can be had at once.
 * @param found what stat(2) has just told of the path
 * @returns undefined when it has to be read in the ordinary way, which also tells what is wrong
 */
export async function readSmall(
  path: NativePath,
  follow: boolean,
  found: Stats,
): Promise<Uint8Array | undefined> {
  if (!found.isFile() || found.size === 0 || found.size > SMALL_BYTES) return undefined;
  const readCached = await loadReadCached();
  return readCached && await isLocal(path, found.dev) ? readNow(path, follow, found, readCached) : undefined;
}

async function isLocal(path: NativePath, device: number): Promise<boolean> {
  const now = performance.now();
  const before = known.get(device);
  if (before && before.until > now) return before.local;
  const local = LOCAL_TYPES.has((await statfs(path)).type);
  if (known.size >= MAX_KNOWN) known.clear();
  known.set(device, { local, until: now + KNOWN_MS });
  return local;
}

function readNow(
  path: NativePath,
  follow: boolean,
  found: Stats,
  readCached: ReadCached,
): Uint8Array | undefined {
  let file: number | undefined;
  try {
    file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | (follow ? 0 : constants.O_NOFOLLOW));
    const { dev, ino, size } = fstatSync(file);
    // It may have been exchanged in between, by one on another file system, too.
    if (dev !== found.dev || ino !== found.ino || size > SMALL_BYTES) return undefined;
    const buffer = Buffer.allocUnsafeSlow(size + 1); // one more: shows that this is the end
    return readCached(file, buffer) === size ? buffer.subarray(0, size) : undefined;
  } catch {
    return undefined;
  } finally {
    if (file !== undefined) closeSync(file);
  }
}
