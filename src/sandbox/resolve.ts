/** Where a path really is: links followed one by one, so that each of them is known. */
import { Buffer } from "node:buffer";
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

/** Why a path cannot be followed. */
export interface Obstacle {
  /** For an error text, after the path. */
  readonly problem: string;
  /** Where it was noticed: the link, or the folder that may not be looked into. */
  readonly path: string;
  /** As the system has it; `EILSEQ` for what is no text. */
  readonly code: string;
}

/**
 * Follows a path.
 * @param path absolute
 * @throws ExecServerError `INVALID_PARAMS` when it cannot be followed: too many links, or no right to look
 */
export function resolvePath(path: string): Resolved {
  const found = follow(path);
  if ("problem" in found) throw invalidParams(`\`${clip(path)}\` ${found.problem}`);
  return found;
}

/** As {@link resolvePath}; undefined for what cannot be followed. */
export function tryResolvePath(path: string): Resolved | undefined {
  const found = follow(path);
  return "problem" in found ? undefined : found;
}

/** As {@link resolvePath}, for those who tell obstacles apart. */
export function follow(path: string): Resolved | Obstacle {
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
    if (kind === "file") {
      return { problem: "is below something that is no directory", path: real, code: "ENOTDIR" };
    }
    const next = posix.join(real, part);
    const found = lookAt(next, real);
    if (found === undefined) return { path: next, kind: "missing", links };
    if ("problem" in found) return found;
    if (found.link === undefined) {
      real = next;
      kind = found.kind;
      continue;
    }
    if (links.length >= MAX_LINKS) return { problem: "has too many links", path: next, code: "ELOOP" };
    links.push({ path: next, target: found.link });
    todo.push(...found.link.split("/").reverse());
    if (found.link.startsWith("/")) real = "/";
    kind = "directory";
  }
  return { path: real, kind, links };
}

/** Not asynchronous: a plan looks at fifty parts of paths, before each request of a file helper. */
function lookAt(
  path: string,
  folder: string,
): { readonly kind: RuleKind; readonly link: string | undefined } | Obstacle | undefined {
  try {
    const stat = lstatSync(path, { throwIfNoEntry: false });
    if (stat === undefined) return undefined;
    const kind = stat.isDirectory() ? "directory" : "file";
    if (!stat.isSymbolicLink()) return { kind, link: undefined };
    const bytes = readlinkSync(path, { encoding: "buffer" });
    const link = bytes.toString();
    // Bytes that are no text would name another path.
    if (Buffer.from(link).equals(bytes)) return { kind, link };
    return {
      problem: `leads through the link \`${clip(path)}\`, whose target is not UTF-8`,
      path,
      code: "EILSEQ",
    };
  } catch (error) {
    if (hasCode(error) && (error.code === "ENOENT" || error.code === "ENOTDIR")) return undefined;
    const code = hasCode(error) ? error.code : "unknown";
    return { problem: `cannot be looked up: ${code}`, path: folder, code };
  }
}
