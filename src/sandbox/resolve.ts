/** Where a path really is: links followed one by one, so that each of them is known. */
import { lstatSync, readlinkSync } from "node:fs";
import { posix } from "node:path";
import { hasCode, invalidParams } from "../protocol/error.ts";
import { clip } from "../protocol/quote.ts";
import type { RuleKind } from "./rules.ts";

/** As many as the kernel follows (path_resolution(7)). */
const MAX_LINKS = 40;

/** A link on the way to a path. */
export interface Link {
  /** Where it is: a real path but for its last part. */
  readonly path: string;
  /** What it says, as it says it. */
  readonly target: string;
}

/** What a path leads to. */
export interface Resolved {
  /** The real path; of a missing one the first part that does not exist, below a real folder. */
  readonly path: string;
  readonly kind: RuleKind;
  /** Every link that was followed, in order. */
  readonly links: readonly Link[];
}

/**
 * Follows a path.
 * @param path absolute
 * @throws ExecServerError `INVALID_PARAMS` when it cannot be followed: too many links, or no right to look
 */
export function resolvePath(path: string): Resolved {
  const links: Link[] = [];
  const todo = path.split("/").reverse();
  let real = "/";
  let kind: RuleKind = "directory";
  for (let part = todo.pop(); part !== undefined; part = todo.pop()) {
    if (part === "" || part === ".") continue;
    if (part === "..") {
      real = posix.dirname(real);
      kind = "directory";
      continue;
    }
    if (kind === "file") throw invalidParams(`\`${clip(path)}\` is below something that is no directory`);
    const next = posix.join(real, part);
    const found = lookAt(next, path);
    if (found === undefined) return { path: next, kind: "missing", links };
    if (found.link === undefined) {
      real = next;
      kind = found.kind;
      continue;
    }
    if (links.length >= MAX_LINKS) throw invalidParams(`\`${clip(path)}\` has too many links`);
    links.push({ path: next, target: found.link });
    todo.push(...found.link.split("/").reverse());
    if (found.link.startsWith("/")) real = "/";
    kind = "directory";
  }
  return { path: real, kind, links };
}

/** As {@link resolvePath}; undefined for what cannot be followed. */
export function tryResolvePath(path: string): Resolved | undefined {
  try {
    return resolvePath(path);
  } catch {
    return undefined;
  }
}

/** Not asynchronous: a plan looks at fifty parts of paths, before each request of a file helper. */
function lookAt(path: string, asked: string): { kind: RuleKind; link: string | undefined } | undefined {
  try {
    const stat = lstatSync(path, { throwIfNoEntry: false });
    if (stat === undefined) return undefined;
    const link = stat.isSymbolicLink() ? readlinkSync(path) : undefined;
    return { kind: stat.isDirectory() ? "directory" : "file", link };
  } catch (error) {
    if (hasCode(error) && error.code === "ENOENT") return undefined;
    if (hasCode(error) && error.code === "ENOTDIR") return undefined;
    const reason = hasCode(error) ? error.code : "unknown";
    throw invalidParams(`\`${clip(asked)}\` cannot be looked up: ${reason}`);
  }
}
