/** Finds a bwrap that can be trusted: in a fixed place, and nobody but its owner could have replaced it. */
import { lstatSync, realpathSync } from "node:fs";
import { posix } from "node:path";
import process from "node:process";

/** Where distributions put it. Never from a PATH. */
export const BWRAP_PATHS = [
  "/usr/bin/bwrap",
  "/bin/bwrap",
  "/usr/local/bin/bwrap",
  "/run/current-system/sw/bin/bwrap",
] as const;

/** What was found. */
export type FoundBwrap = { readonly path: string } | { readonly problem: "missing" | string };

/** The first of the paths that can be trusted; else why not: `missing`, or what is wrong with one. */
export function findBwrap(paths: readonly string[] = BWRAP_PATHS): FoundBwrap {
  let problem: string | undefined;
  for (const path of paths) {
    let real: string;
    try {
      real = realpathSync(path);
    } catch {
      continue;
    }
    const found = whyNotTrusted(real);
    if (found === undefined) return { path: real };
    problem ??= found;
  }
  return { problem: problem ?? "missing" };
}

/** What is wrong with a program and the folders it is in; undefined when only root or we could replace it. */
export function whyNotTrusted(path: string): string | undefined {
  for (let at = path;; at = posix.dirname(at)) {
    const stat = lstatSync(at);
    if (stat.uid !== 0 && stat.uid !== process.getuid?.()) return `${at} belongs to another user`;
    // In a folder with the sticky bit others cannot replace what is not theirs.
    const sticky = stat.isDirectory() && (stat.mode & 0o1000) !== 0;
    if ((stat.mode & 0o022) !== 0 && !sticky) return `${at} can be written by others`;
    if (at === path) {
      if (!stat.isFile()) return `${at} is no file`;
      if ((stat.mode & 0o6000) !== 0) return `${at} is set-uid: that version works differently`;
      if ((stat.mode & 0o111) === 0) return `${at} is not executable`;
    }
    if (at === "/") return undefined;
  }
}
