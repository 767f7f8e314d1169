/** What keeps rules from being got round: links, git's pointers, renamed folders, names that do not exist yet. */
import { constants } from "node:fs";
import { readFile } from "node:fs/promises";
import { posix } from "node:path";
import { type ExecServerError, invalidParams } from "../protocol/error.ts";
import { clip } from "../protocol/quote.ts";
import type { Followed } from "./plan_entries.ts";
import { isOpenToUs } from "./own_access.ts";
import { follow, type Link, tryResolvePath } from "./resolve.ts";
import {
  accessAbove,
  accessOf,
  combined,
  isKernels,
  isWithin,
  least,
  type Rule,
  type RuleTree,
} from "./rules.ts";

/** A `.git` file is one short line. */
const MAX_GIT_POINTER_CHARACTERS = 8192;

/**
 * Refuses what is reached through a link that the sandbox may replace: the next sandbox with the same policy would
 * grant, protect or deny whatever the link says by then.
 * @throws ExecServerError `INVALID_PARAMS`
 */
export function requireFirmLinks(tree: RuleTree, followed: readonly Followed[]): void {
  for (const { asked, access, found } of followed) {
    // A grant that adds nothing does no harm.
    if (access === "write" && accessAbove(tree, found.path) === "write") continue;
    const loose = looseLink(tree, found.links);
    if (loose) throw replaceable(asked, loose);
  }
}

/** A link that the sandbox may replace. */
export function looseLink(tree: RuleTree, links: readonly Link[]): Link | undefined {
  return links.find((link) => accessOf(tree, posix.dirname(link.path)) === "write");
}

function replaceable(path: string, link: Link): ExecServerError {
  return invalidParams(
    `\`${clip(path)}\` is reached through the link \`${clip(link.path)}\`, which the sandbox could replace`,
  );
}

/** A protected `.git` that is a file (worktree, submodule) names folders; hooks and settings are in those. */
export async function gitRules(tree: RuleTree): Promise<Rule[]> {
  const rules: Rule[] = [];
  for (const rule of tree.rules) {
    if (rule.kind !== "file" || rule.access !== "read" || posix.basename(rule.path) !== ".git") continue;
    const gitdir = await pointer(rule.path, /^gitdir: (.+)$/m);
    if (gitdir === undefined) continue;
    const common = await pointer(posix.join(gitdir, "commondir"), /^(.+)$/m);
    for (const path of common === undefined ? [gitdir] : [gitdir, common]) {
      const found = tryResolvePath(path);
      if (found?.kind !== "directory" || accessOf(tree, found.path) !== "write") continue;
      rules.push({ path: found.path, access: "read", kind: "directory" });
    }
  }
  return rules;
}

async function pointer(path: string, pattern: RegExp): Promise<string | undefined> {
  const text = await readFile(path, "utf8").catch(() => "");
  const found = pattern.exec(text.slice(0, MAX_GIT_POINTER_CHARACTERS))?.[1];
  return found === undefined ? undefined : posix.resolve(posix.dirname(path), found.trim());
}

/**
 * Keeps the names in the folder of the audit log as they are: also of files that it is rotated to. Roots below it stay
 * what they are.
 * @throws ExecServerError `INVALID_PARAMS` when the folder itself is to be writable: it would silently not be
 */
export function auditRules(tree: RuleTree, folder: string | undefined): Rule[] {
  const found = folder === undefined ? undefined : tryResolvePath(folder);
  if (found?.kind !== "directory" || isKernels(found.path) || accessOf(tree, found.path) !== "write") {
    return [];
  }
  if (found.path === "/" || tree.rules.some(({ path }) => path === found.path)) {
    throw invalidParams(
      `\`${clip(found.path)}\` cannot be made writable: the audit log of this server is in it`,
    );
  }
  return [{ path: found.path, access: "read", kind: "directory" }];
}

/**
 * The rules with which nothing at some paths or below them is more than `most`, whatever else the rules say: a deeper
 * one would win over a rule for the path alone. A path that cannot be looked up is no path for the sandbox either.
 * @throws ExecServerError `INVALID_PARAMS` when the sandbox could lead us elsewhere the next time, or a path is no text
 */
export function limited(tree: RuleTree, paths: readonly string[], most: "read" | "deny"): readonly Rule[] {
  let { rules } = tree;
  for (const path of paths) {
    const found = follow(path);
    if ("problem" in found) {
      if (found.code === "EILSEQ") throw invalidParams(`\`${clip(path)}\` ${found.problem}`);
      continue;
    }
    if (isKernels(found.path)) continue; // the sandbox has its own
    if (found.kind === "missing" && most === "deny") continue; // nothing to hide
    const loose = looseLink({ ...tree, rules }, found.links);
    if (loose && isOpenToUs(posix.dirname(loose.path), constants.W_OK)) throw replaceable(path, loose);
    const kept = rules.flatMap((rule) => {
      if (!isWithin(rule.path, found.path)) return [rule];
      return most === "deny" ? [] : [{ ...rule, access: least(rule.access, most) }];
    });
    const access = accessOf({ ...tree, rules: kept }, found.path);
    rules = least(access, most) === access
      ? kept
      : combined([...kept, { path: found.path, access: most, kind: found.kind }]);
  }
  return rules;
}

/**
 * Makes mount points of the folders above what is protected, and of further ones with those above them, as far up as
 * they can be written to. A mount point cannot be renamed; otherwise a folder could be moved away and built anew,
 * without the protection.
 */
export function pins(tree: RuleTree, folders: readonly string[] = []): Rule[] {
  const made = new Map<string, Rule>();
  const guarded = tree.rules.filter((rule) => rule.access !== "write");
  for (const lowest of [...guarded.map((rule) => posix.dirname(rule.path)), ...folders]) {
    if (isKernels(lowest)) continue; // nothing can be moved there, and a pin would make it writable
    // Once its own folder cannot be written to, nothing further up can be moved.
    for (
      let path = lowest;
      path !== "/" && !made.has(path) && accessOf(tree, path) === "write" &&
      accessAbove(tree, path) === "write";
      path = posix.dirname(path)
    ) {
      made.set(path, { path, access: "write", kind: "directory", pin: true });
    }
  }
  return [...made.values()];
}

/** Without the rules for missing paths where nothing can appear from inside; those are only watched. */
export function standing(tree: RuleTree): { rules: readonly Rule[]; absent: readonly string[] } {
  const idle = tree.rules.filter((rule) =>
    rule.kind === "missing" && (rule.access === "write" || accessAbove(tree, rule.path) !== "write")
  );
  return {
    rules: tree.rules.filter((rule) => !idle.includes(rule)),
    absent: idle.map((rule) => rule.path),
  };
}
