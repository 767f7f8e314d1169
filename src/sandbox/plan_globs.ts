/** What patterns deny now, as rules. */
import { invalidParams } from "../protocol/error.ts";
import { clip } from "../protocol/quote.ts";
import type { GlobScanner } from "./glob_cache.ts";
import { type DeniedGlob, scanBudget } from "./glob_scan.ts";
import { looseLink } from "./plan_protection.ts";
import { type Link, resolvePath } from "./resolve.ts";
import { accessOf, combined, isWithin, type Rule, type RuleTree } from "./rules.ts";

/** What is denied only as long as a link that the sandbox may replace is there. */
interface Loose {
  readonly path: string;
  readonly link: Link;
}

/**
 * Scans all patterns, and puts the denials over the other rules: below a folder that is denied with all its contents
 * nothing is granted again.
 * @throws ExecServerError `INVALID_PARAMS` when a bound is reached, or what matches could be taken out of the pattern
 * from inside by replacing a link
 */
export async function withGlobs(
  tree: RuleTree,
  globs: readonly DeniedGlob[],
  scan: GlobScanner,
): Promise<readonly Rule[]> {
  const budget = scanBudget();
  const denied: Rule[] = [];
  const total: string[] = [];
  const loose: Loose[] = [];
  for (const glob of globs) {
    for (const match of await scan(glob, budget)) {
      const found = resolvePath(match.path);
      if (found.kind === "missing") continue; // it has gone since
      const link = looseLink(tree, [...match.links, ...found.links]);
      if (link) {
        loose.push({ path: found.path, link });
        continue;
      }
      denied.push({ path: found.path, access: "deny", kind: found.kind });
      if (match.whole) total.push(found.path);
    }
  }
  const kept = tree.rules.filter((rule) =>
    !total.some((path) => rule.path !== path && isWithin(rule.path, path))
  );
  const rules = combined([...kept, ...denied]);
  for (const { path, link } of loose) requireDenied({ ...tree, rules }, path, link);
  return rules;
}

/** What is denied without the link stays denied without it. */
function requireDenied(tree: RuleTree, path: string, link: Link): void {
  if (accessOf(tree, path) === "deny") return;
  throw invalidParams(
    `a denied pattern matches \`${clip(path)}\` behind the link \`${
      clip(link.path)
    }\`, which the sandbox could replace: deny that path itself`,
  );
}
