/** The short way for the most frequent request of a file helper: a small file, read in one go. */
import { Buffer } from "node:buffer";
import {
  closeSync,
  constants,
  fstatSync,
  openSync,
  readlinkSync,
  readSync,
  type Stats,
  statSync,
} from "node:fs";
import { parsePathUri } from "../protocol/path_uri.ts";
import type { HelperPolicy } from "./helper_messages.ts";
import { accessIn } from "./helper_policy.ts";
import { nativeOf, nativePath } from "./native_path.ts";

/** Files up to this size: seven turns of the event loop take ten times as long. */
const SMALL_BYTES = 64 * 1024;

/**
 * The content of a small regular file that the policy lets be read; undefined for all else, also for what fails: it is
 * then done with all care, and says what is wrong.
 *
 * What is checked is the path that the kernel has for the open file, so that nothing can be put in its place between
 * the check and the reading, whatever the links on the way.
 * @param params of `fs/readFile`, as the server sends them
 */
export function readSmallFile(policy: HelperPolicy, params: unknown): Buffer | undefined {
  const path = pathOf(params);
  if (path === undefined) return undefined;
  let file: number | undefined;
  try {
    const native = nativePath(path);
    if (!isSmall(statSync(native))) return undefined; // opening alone can wake somebody, see `open_regular.ts`
    file = openSync(native, constants.O_RDONLY | constants.O_NONBLOCK);
    const found = fstatSync(file);
    if (!isSmall(found)) return undefined;
    const real = nativeOf(readlinkSync(`/proc/self/fd/${file}`, { encoding: "buffer" }));
    // A file without this name has none that could be checked; the kernel says so behind the path.
    if (typeof real !== "string" || !real.startsWith("/") || real.endsWith(" (deleted)")) return undefined;
    if (accessIn(policy, real) === "deny") return undefined;
    const bytes = Buffer.allocUnsafe(found.size + 1);
    const length = readSync(file, bytes, 0, bytes.length, 0);
    return length === found.size ? bytes.subarray(0, length) : undefined;
  } catch {
    return undefined;
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

/** Undefined also where a link must not be followed. */
function pathOf(params: unknown): URL | undefined {
  if (typeof params !== "object" || params === null || !("path" in params)) return undefined;
  if ("followSymlinks" in params && params.followSymlinks !== true && params.followSymlinks !== null) {
    return undefined;
  }
  const path = typeof params.path === "string" ? parsePathUri(params.path) : undefined;
  return path instanceof URL ? path : undefined;
}

/** Files of /proc say 0. */
function isSmall(found: Stats): boolean {
  return found.isFile() && found.size > 0 && found.size <= SMALL_BYTES;
}
