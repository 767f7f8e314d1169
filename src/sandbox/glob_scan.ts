/** What a denying pattern matches now: a walk with bounds, that refuses rather than leave something out. */
import { readdir } from "node:fs/promises";
import { posix } from "node:path";
import { hasCode, invalidParams } from "../protocol/error.ts";
import { MAX_GLOB_SCAN_DEPTH } from "../protocol/sandbox.ts";
import { clip } from "../protocol/quote.ts";
import { globMatcher, splitGlob } from "./glob.ts";
import { resolvePath } from "./resolve.ts";

/** Entries that the patterns of one policy may look at: two seconds on a slow disk. */
export const MAX_GLOB_SCAN_ENTRIES = 200_000;
/** Paths that the patterns of one policy may deny. Each is a mount, and bwrap takes 9000 arguments. */
export const MAX_GLOB_MATCHES = 1_000;

/** Made by the kernel, and the sandbox's own inside: not looked into from above. */
const KERNEL_FOLDERS = new Set(["/proc", "/sys", "/dev"]);

/** A pattern of a plan. Plain data: it travels to the file helper, which also denies what appears later. */
export interface DeniedGlob {
  /** Real path of the folder that the search begins in. */
  readonly base: string;
  /** For paths relative to it. */
  readonly rest: string;
  /** How deep the policy wants it; undefined for everywhere. */
  readonly depth: number | undefined;
}

/** What the scans of one policy may still use. */
export interface ScanBudget {
  entries: number;
  matches: number;
}

/** The bounds of one policy. */
export function scanBudget(): ScanBudget {
  return { entries: MAX_GLOB_SCAN_ENTRIES, matches: MAX_GLOB_MATCHES };
}

/**
 * The pattern with its base looked up; or the path that does not exist, so that nothing matches yet.
 * @throws ExecServerError `INVALID_PARAMS` for a pattern that makes no sense
 */
export function locateGlob(pattern: string, depth: number | undefined): DeniedGlob | { absent: string } {
  const { base, rest } = splitGlob(pattern);
  globMatcher(rest); // says what is malformed, also where nothing is there yet
  const found = resolvePath(base);
  return found.kind === "missing" ? { absent: found.path } : { base: found.path, rest, depth };
}

/**
 * The paths that match now, not below one another. Links are matched, not followed. A pattern that ends in `/**`
 * gives the folder whose contents it means, so that what is put there later is denied too.
 * @throws ExecServerError `INVALID_PARAMS` when a bound is reached, or a matching name is not UTF-8
 */
export async function scanGlob(glob: DeniedGlob, budget: ScanBudget): Promise<string[]> {
  if (glob.rest === "" || glob.rest === "**") {
    if (glob.base === "/") throw invalidParams("a glob pattern must not deny everything: deny `root`");
    return [glob.base];
  }
  const whole = glob.rest.endsWith("/**");
  const matches = globMatcher(whole ? glob.rest.replace(/(\/\*\*)+$/, "") : glob.rest);
  const found: string[] = [];
  const depth = glob.depth ?? MAX_GLOB_SCAN_DEPTH;
  const queue: { path: string; relative: string; level: number }[] = [
    { path: glob.base, relative: "", level: 1 },
  ];
  for (let folder = queue.shift(); folder !== undefined; folder = queue.shift()) {
    for (const entry of await entriesOf(folder.path)) {
      if (--budget.entries < 0) {
        throw invalidParams(
          `glob patterns look at more than ${MAX_GLOB_SCAN_ENTRIES} entries: begin them in a deeper folder, or give \`glob_scan_max_depth\``,
        );
      }
      const relative = folder.relative === "" ? entry.name : `${folder.relative}/${entry.name}`;
      const path = posix.join(folder.path, entry.name);
      if (matches(relative) && (!whole || entry.isDirectory())) {
        if (entry.name.includes("\uFFFD")) {
          throw invalidParams(`\`${clip(path)}\` is not UTF-8 and cannot be denied`);
        }
        if (--budget.matches < 0) {
          throw invalidParams(
            `glob patterns match more than ${MAX_GLOB_MATCHES} paths: deny a folder that holds them`,
          );
        }
        found.push(path);
      } else if (!entry.isDirectory() || KERNEL_FOLDERS.has(path)) {
        continue;
      } else if (folder.level < depth) {
        queue.push({ path, relative, level: folder.level + 1 });
      } else if (glob.depth === undefined) {
        throw invalidParams(
          `a glob pattern has to look deeper than ${MAX_GLOB_SCAN_DEPTH} folders: give \`glob_scan_max_depth\``,
        );
      }
    }
  }
  return found;
}

/** True when a real path, or a folder above it, matches: also what was made after the scan. */
export function matchesGlob(glob: DeniedGlob, path: string): boolean {
  if (path === glob.base) return glob.rest === "" || glob.rest === "**";
  const prefix = glob.base === "/" ? "/" : `${glob.base}/`;
  if (!path.startsWith(prefix)) return false;
  if (glob.rest === "" || glob.rest === "**") return true;
  const matches = globMatcher(glob.rest);
  const parts = path.slice(prefix.length).split("/");
  return parts.some((_, index) => matches(parts.slice(0, index + 1).join("/")));
}

async function entriesOf(path: string) {
  try {
    return await readdir(path, { withFileTypes: true });
  } catch (error) {
    // What we may not list, or is gone, the sandbox cannot read either.
    if (hasCode(error) && ["EACCES", "EPERM", "ENOENT", "ENOTDIR"].includes(error.code)) return [];
    throw error;
  }
}
