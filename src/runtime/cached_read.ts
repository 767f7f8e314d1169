/** Reads that never wait for a disk. */
import { runtime } from "./detect.ts";

/** Reads from the beginning of a file what is in memory already; undefined when that cannot be told, or fails. */
export type ReadCached = (fd: number, into: Uint8Array) => number | undefined;

let loaded: Promise<ReadCached | undefined> | undefined;

/** Such a read, where the runtime and the kernel have it. */
export function loadReadCached(): Promise<ReadCached | undefined> {
  return loaded ??= runtime === "bun"
    ? import("./cached_read_bun.ts").then(({ createReadCached }) => createReadCached())
    : Promise.resolve(undefined);
}
