/**
 * Who may do what where, as a tree: each rule says what holds for its path and for everything below, unless a deeper
 * rule says otherwise. That makes two policies comparable in every point.
 */

/** From the least to the most. */
export type Access = "deny" | "read" | "write";

/** What is at the path of a rule: `missing` when nothing is there, and nothing may appear there. */
export type RuleKind = "directory" | "file" | "missing";

/** One rule. Plain data: it travels to the file helper. */
export interface Rule {
  /** A real path: absolute, no link in it. For `missing` the first part that does not exist. */
  readonly path: string;
  readonly access: Access;
  readonly kind: RuleKind;
  /** Grants nothing; makes a folder above something protected a mount point, which cannot be renamed. */
  readonly pin?: boolean;
}

/** Rules over a tree whose other parts have one access. */
export interface RuleTree {
  /** What holds where no rule applies. */
  readonly base: Access;
  /** By depth, then by path; no path twice. */
  readonly rules: readonly Rule[];
}

const RANK: Readonly<Record<Access, number>> = { deny: 0, read: 1, write: 2 };

/** The smaller of two. */
export function least(a: Access, b: Access): Access {
  return RANK[a] <= RANK[b] ? a : b;
}

/** True for the path itself and for what is below it. */
export function isWithin(path: string, ancestor: string): boolean {
  return path === ancestor || ancestor === "/" || path.startsWith(`${ancestor}/`);
}

/** Of the kernel's making: a sandbox has `/proc` and `/dev` of its own, and `/sys` cannot be written to. */
export function isKernels(path: string): boolean {
  return isWithin(path, "/proc") || isWithin(path, "/sys") || isWithin(path, "/dev");
}

/** How many names a path has. */
export function depthOf(path: string): number {
  return path === "/" ? 0 : path.split("/").length - 1;
}

/** The rule that decides about a path; undefined when none does. `strictly`: what decides about its folder. */
export function ruleFor(tree: RuleTree, path: string, strictly = false): Rule | undefined {
  let best: Rule | undefined;
  for (const rule of tree.rules) {
    if (strictly && rule.path === path) continue;
    if (isWithin(path, rule.path) && (!best || rule.path.length > best.path.length)) best = rule;
  }
  return best;
}

/** What may be done at a real path. */
export function accessOf(tree: RuleTree, path: string): Access {
  return ruleFor(tree, path)?.access ?? tree.base;
}

/** What would hold at a path if no rule were about exactly that path. */
export function accessAbove(tree: RuleTree, path: string): Access {
  return ruleFor(tree, path, true)?.access ?? tree.base;
}

/** Parents before children, then by name. */
export function inOrder<T extends { readonly path: string }>(rules: Iterable<T>): T[] {
  return [...rules].sort((a, b) =>
    depthOf(a.path) - depthOf(b.path) || (a.path < b.path ? -1 : a.path > b.path ? 1 : 0)
  );
}

/** At one path the lesser access wins; a pin stays one, whatever else says the same there. */
export function combined(rules: readonly Rule[]): Rule[] {
  const byPath = new Map<string, Rule>();
  for (const rule of rules) {
    const known = byPath.get(rule.path);
    byPath.set(rule.path, known ? stronger(known, rule) : rule);
  }
  return inOrder(byPath.values());
}

function stronger(a: Rule, b: Rule): Rule {
  if (a.pin !== b.pin && a.access === b.access) return a.pin ? a : b;
  return RANK[b.access] < RANK[a.access] ? b : a;
}

/** In every point the lesser of two trees. Without pins: what is above something protected is another matter then. */
export function intersection(a: RuleTree, b: RuleTree): RuleTree {
  const rules = combined([...a.rules, ...b.rules].filter((rule) => !rule.pin)).map((rule): Rule => ({
    ...rule,
    access: least(accessOf(a, rule.path), accessOf(b, rule.path)),
  }));
  return { base: least(a.base, b.base), rules };
}
