/** The bounds of a walk, checked before anything is looked at. */
import { invalidRequest } from "../protocol/error.ts";
import { MAX_WALK_DEPTH, MAX_WALK_DIRECTORIES, MAX_WALK_ENTRIES } from "../protocol/limits.ts";
import type { WalkOptions } from "./trait.ts";

/**
 * Every option with its default.
 * @throws ExecServerError `INVALID_REQUEST` for a bound that is no whole number, zero where that finds nothing, or
 * above the maximum
 */
export function walkLimits(options: WalkOptions): Required<WalkOptions> {
  const limits = {
    maxDepth: options.maxDepth ?? MAX_WALK_DEPTH,
    maxDirectories: options.maxDirectories ?? MAX_WALK_DIRECTORIES,
    maxEntries: options.maxEntries ?? MAX_WALK_ENTRIES,
    followDirectorySymlinks: options.followDirectorySymlinks ?? false,
    pruneHiddenDirectories: options.pruneHiddenDirectories ?? false,
  };
  const { maxDepth, maxDirectories, maxEntries } = limits;
  if (![maxDepth, maxDirectories, maxEntries].every((bound) => Number.isInteger(bound) && bound >= 0)) {
    throw invalidRequest("filesystem walk limits must be whole numbers");
  }
  if (maxDirectories === 0 || maxEntries === 0) {
    throw invalidRequest("filesystem walk limits must be greater than zero");
  }
  if (maxDepth > MAX_WALK_DEPTH || maxDirectories > MAX_WALK_DIRECTORIES || maxEntries > MAX_WALK_ENTRIES) {
    throw invalidRequest(
      "filesystem walk limits exceed maximums: " +
        `depth=${MAX_WALK_DEPTH}, directories=${MAX_WALK_DIRECTORIES}, entries=${MAX_WALK_ENTRIES}`,
    );
  }
  return limits;
}
