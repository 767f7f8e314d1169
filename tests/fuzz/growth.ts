/** Whether a server keeps what it should have given back. */
import type { Footprint } from "./world.ts";

/** Descriptors that a server may keep open after its first round. */
const MAX_MORE_FILES = 2;
/** Memory that the runtime keeps for later, in MiB. */
const MAX_MORE_MEMORY = 60;

/**
 * What has grown, in words. The runtime gives memory back when it likes, so the smallest of the later looks is
 * compared with the smallest of the earlier ones.
 * @param prints taken while nothing is asked of the server, after rounds of like work
 */
export function grown(prints: readonly Footprint[]): string | undefined {
  const half = Math.ceil(prints.length / 2);
  const early = prints.slice(0, half), late = prints.slice(half);
  if (late.length === 0) return undefined;
  const least = (some: readonly Footprint[], what: keyof Footprint) =>
    Math.min(...some.map((print) => print[what]));
  const files = least(late, "files") - least(early, "files");
  const memory = least(late, "memory") - least(early, "memory");
  if (files > MAX_MORE_FILES) return `the server has ${files} descriptors more than before`;
  return memory > MAX_MORE_MEMORY ? `the server's memory grew by ${memory.toFixed(0)} MiB` : undefined;
}
