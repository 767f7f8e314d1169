/** What a denying pattern matches now: a walk with bounds, that refuses rather than leave something out. */
import { accessSync, constants } from "node:fs";
import { entriesOf, type Entry } from "../files/entries.ts";
import { childPath, nameText, type NativePath, shownPath, toRaw } from "../files/native_path.ts";
import { hasCode, invalidParams } from "../protocol/error.ts";
import { MAX_GLOB_SCAN_DEPTH } from "../protocol/sandbox.ts";
import { clip } from "../protocol/quote.ts";
import { type GlobState, globSteps, isOver, splitGlob, stateKey } from "./glob.ts";
import { isOpenToUs } from "./own_access.ts";
import { follow, type Link, type Resolved, resolvePath } from "./resolve.ts";
import { isKernels } from "./rules.ts";

/** Entries that the patterns of one policy may look at: two seconds on a slow disk. */
export const MAX_GLOB_SCAN_ENTRIES = 200_000;
/** Paths that the patterns of one policy may deny. Each is a mount, and bwrap takes 9000 arguments. */
export const MAX_GLOB_MATCHES = 1_000;

const DENIES_EVERYTHING = "a glob pattern must not deny everything: deny `root`";

/** A pattern of a plan. Plain data: it travels to the file helper, which also denies what appears later. */
export interface DeniedGlob {
  /** Real path of the folder that the search begins in. */
  readonly base: string;
  /** For paths relative to it. */
  readonly rest: string;
  /** How deep the policy wants it; undefined for everywhere. */
  readonly depth: number | undefined;
}

/** What a pattern denies now. */
export interface GlobMatch {
  /** A real path. */
  readonly path: string;
  /** Nothing below is granted again: all contents are meant, or nobody can know what they are. */
  readonly whole: boolean;
  /** Links that were followed from the base of the pattern. */
  readonly links: readonly Link[];
}

/** What the scans of one policy may still use. */
export interface ScanBudget {
  entries: number;
  matches: number;
}

/** A folder that is still to be looked at. */
interface Waiting {
  /** A real path, as bytes where it is not UTF-8. */
  readonly path: NativePath;
  readonly state: GlobState;
  readonly level: number;
  readonly links: readonly Link[];
}

/** The bounds of one policy. */
export function scanBudget(): ScanBudget {
  return { entries: MAX_GLOB_SCAN_ENTRIES, matches: MAX_GLOB_MATCHES };
}

/**
 * The pattern and where its base leads: what is missing there matches nothing yet.
 * @throws ExecServerError `INVALID_PARAMS` for a pattern that makes no sense
 */
export function locateGlob(
  pattern: string,
  depth: number | undefined,
): { readonly glob: DeniedGlob; readonly found: Resolved } {
  const { base, rest } = splitGlob(pattern);
  globSteps(rest); // says what is malformed, also where nothing is there yet
  const found = resolvePath(base);
  return { glob: { base: found.path, rest, depth }, found };
}

/**
 * What matches now, not below one another, also behind links: what they lead to. A pattern that ends in `/**` gives the
 * folder whose contents it means, so that what is put there later is denied too. A folder that cannot be listed is
 * given as a whole, when a program of ours could get at something in it all the same.
 * @throws ExecServerError `INVALID_PARAMS` when a bound is reached, or a match or a link to one is not UTF-8
 */
export async function scanGlob(glob: DeniedGlob, budget: ScanBudget): Promise<GlobMatch[]> {
  if (glob.rest === "" || glob.rest === "**") {
    if (glob.base === "/") throw invalidParams(DENIES_EVERYTHING);
    return [{ path: glob.base, whole: true, links: [] }];
  }
  const whole = glob.rest.endsWith("/**");
  const { start, step, fits } = globSteps(whole ? glob.rest.replace(/(\/\*\*)+$/, "") : glob.rest);
  const matches: GlobMatch[] = [];
  const add = (path: NativePath, links: readonly Link[], isWhole: boolean) => {
    if (typeof path !== "string") {
      throw invalidParams(`\`${shownPath(path)}\` is not UTF-8 and cannot be denied`);
    }
    if (path === "/") throw invalidParams(DENIES_EVERYTHING);
    if (--budget.matches < 0) {
      throw invalidParams(
        `glob patterns match more than ${MAX_GLOB_MATCHES} paths: deny a folder that holds them`,
      );
    }
    matches.push({ path, links, whole: isWhole });
  };
  // Not looked into from elsewhere.
  const isForeign = (path: NativePath) =>
    typeof path === "string" && isKernels(path) && !isKernels(glob.base);

  const depth = glob.depth ?? MAX_GLOB_SCAN_DEPTH;
  const levels = new Map<string, number>();
  // What is behind links comes last: it is then mostly known by a way that nobody can replace.
  const direct: Waiting[] = [{ path: glob.base, state: start, level: 1, links: [] }];
  const linked: Waiting[] = [];
  let behindLinks = 0;
  const next = () => direct.pop() ?? linked[behindLinks++];
  for (let folder = next(); folder !== undefined; folder = next()) {
    const { links, level } = folder;
    // By links one comes to the same folder again and again.
    const key = `${toRaw(folder.path)}\0${stateKey(folder.state)}`;
    const known = levels.get(key);
    if (known !== undefined && (glob.depth === undefined || known <= level)) continue;
    levels.set(key, level);
    const entries = await listed(folder.path);
    if (entries === undefined) add(folder.path, links, true);
    for (const { rawName, kind } of entries ?? []) {
      if (--budget.entries < 0) {
        throw invalidParams(
          `glob patterns look at more than ${MAX_GLOB_SCAN_ENTRIES} entries: begin them in a deeper folder, or give \`glob_scan_max_depth\``,
        );
      }
      const state = step(folder.state, nameText(rawName));
      const below = step(state, "/");
      const isMatch = fits(state);
      if (!isMatch && isOver(below)) continue;
      const path = childPath(folder.path, rawName);
      const found = kind === "link" ? followed(path) : { path, kind, links: [] };
      if (found === undefined || isForeign(found.path)) continue;
      const behind = [...links, ...found.links];
      const isFolder = found.kind === "directory";
      if (found.kind === "closed" || (isMatch && (!whole || isFolder))) {
        add(found.path, behind, whole || found.kind === "closed");
        continue;
      }
      if (!isFolder || isOver(below)) continue;
      if (level < depth) {
        const waiting = behind.length === 0 ? direct : linked;
        waiting.push({ path: found.path, state: below, level: level + 1, links: behind });
      } else if (glob.depth === undefined) {
        throw invalidParams(
          `a glob pattern has to look deeper than ${MAX_GLOB_SCAN_DEPTH} folders: give \`glob_scan_max_depth\``,
        );
      }
    }
  }
  return matches;
}

/** True when a real path, or a folder above it, matches: also what was made after the scan. */
export function matchesGlob(glob: DeniedGlob, path: string): boolean {
  if (path === glob.base) return glob.rest === "" || glob.rest === "**";
  const prefix = glob.base === "/" ? "/" : `${glob.base}/`;
  if (!path.startsWith(prefix)) return false;
  if (glob.rest === "" || glob.rest === "**") return true;
  const { start, step, fits } = globSteps(glob.rest);
  let state = start;
  return path.slice(prefix.length).split("/").some((name, index) => {
    state = step(state, index === 0 ? name : `/${name}`);
    return fits(state);
  });
}

/** Undefined for a folder that is closed to us, while a program of ours could use what is in it, or open it for us. */
async function listed(folder: NativePath): Promise<readonly Entry[] | undefined> {
  try {
    const entries = await entriesOf(folder);
    accessSync(folder, constants.X_OK); // names alone do not help: nothing in there could be covered
    return entries;
  } catch (error) {
    if (!hasCode(error)) throw error;
    if (["EACCES", "EPERM"].includes(error.code)) return isOpenToUs(folder, constants.X_OK) ? undefined : [];
    if (["ENOENT", "ENOTDIR"].includes(error.code)) return []; // it has gone
    throw error;
  }
}

/** Where a link leads; undefined where nobody can follow it. @throws ExecServerError when that cannot be known */
function followed(
  link: NativePath,
):
  | { readonly path: string; readonly kind: "directory" | "file" | "closed"; readonly links: readonly Link[] }
  | undefined {
  if (typeof link !== "string") {
    throw invalidParams(
      `\`${shownPath(link)}\` is not UTF-8, and a denied pattern could match behind this link`,
    );
  }
  const found = follow(link);
  if (!("problem" in found)) {
    const { path, kind, links } = found;
    return kind === "missing" ? undefined : { path, kind, links };
  }
  const { path, problem, code } = found;
  if (code === "ELOOP" || code === "ENOTDIR") return undefined;
  if (code === "EACCES" || code === "EPERM") {
    return isOpenToUs(path, constants.X_OK) ? { path, kind: "closed", links: [] } : undefined;
  }
  throw invalidParams(`\`${clip(link)}\` ${problem}, and a denied pattern could match behind this link`);
}
