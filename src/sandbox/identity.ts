/**
 * Whether a sandbox that runs is still what its policy says. A mask is on a directory entry, not on a name: when the
 * host saves a denied file by renaming another over it, the sandbox can read the new one.
 *
 * Before each request of a file helper: make the plan anew. Another key, or another identity than at the start of
 * the helper, means another helper.
 */
import { lstatSync, readdirSync, readlinkSync } from "node:fs";
import type { Plan } from "./plan.ts";
import type { Rule } from "./rules.ts";

/** The same text for plans that mean the same. */
export function keyOf(plan: Plan): string {
  const { base, rules, globs, links, privateFolders, network, unixSockets, nestedNamespaces, cwd } = plan;
  return JSON.stringify([
    base,
    rules.map(({ path, access, kind, pin }) => [path, access, kind, pin ?? false]),
    unique(globs.map((glob) => [glob.base, glob.rest, glob.depth ?? null])),
    unique(links.map((link) => [link.path, link.target])),
    [...privateFolders].sort(),
    [network, unixSockets, nestedNamespaces],
    cwd ?? null,
  ]);
}

function unique(values: readonly unknown[]): string[] {
  return [...new Set(values.map((value) => JSON.stringify(value)))].sort();
}

/**
 * What is at the paths of a plan now: device, inode and time of birth of each, or that it is not there, and what links say. About
 * 5 µs a path. While it stays the same, and no second has passed where there are patterns, a new plan would be equal.
 */
export function identityOf(plan: Plan): string {
  const parts = plan.rules.map(identityOfRule);
  for (const { base } of plan.globs) parts.push(identityOfPath(base));
  for (const path of plan.absent) parts.push(identityOfPath(path));
  for (const { path } of plan.links) parts.push(targetOf(path));
  return parts.join(" ");
}

function identityOfRule(rule: Rule): string {
  // The stand-in for a missing path comes and goes with sandboxes; anything else there is a change.
  if (rule.kind !== "missing") return identityOfPath(rule.path);
  try {
    return readdirSync(rule.path).length === 0 ? "stub" : identityOfPath(rule.path);
  } catch {
    const identity = identityOfPath(rule.path);
    return identity === "-" ? "stub" : identity;
  }
}

function targetOf(link: string): string {
  try {
    return JSON.stringify(readlinkSync(link));
  } catch {
    return "-";
  }
}

function identityOfPath(path: string): string {
  try {
    // The time of birth too: the inode of what was removed may be given at once to what comes in its place. Where the
    // file system keeps none it is the time of the last change, which only costs a new helper now and then.
    const found = lstatSync(path, { bigint: true, throwIfNoEntry: false }); // throwing takes longer than looking
    return found ? `${found.dev}:${found.ino}:${found.mode >> 12n}:${found.birthtimeNs}` : "-";
  } catch {
    return "-";
  }
}
