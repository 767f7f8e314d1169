/** What patterns deny now, as rules. */
import type { GlobScanner } from "./glob_cache.ts";
import { type DeniedGlob, scanBudget } from "./glob_scan.ts";
import { tryResolvePath } from "./resolve.ts";
import { isWithin, type Rule } from "./rules.ts";

/**
 * Scans all patterns.
 * @returns a function that puts the denials over other rules: below a folder that a pattern denies with all its
 * contents nothing is granted again
 * @throws ExecServerError `INVALID_PARAMS` when a bound is reached
 */
export async function globRules(
  globs: readonly DeniedGlob[],
  scan: GlobScanner,
): Promise<{ readonly over: (rules: readonly Rule[]) => readonly Rule[] }> {
  const budget = scanBudget();
  const denied: Rule[] = [];
  const total: string[] = [];
  for (const glob of globs) {
    for (const match of await scan(glob, budget)) {
      const found = tryResolvePath(match);
      if (!found || found.kind === "missing") continue; // a link to nowhere, or gone
      denied.push({ path: found.path, access: "deny", kind: found.kind });
      if (glob.rest === "" || glob.rest.endsWith("**")) total.push(found.path);
    }
  }
  return {
    over: (rules) => [
      ...rules.filter((rule) => !total.some((path) => rule.path !== path && isWithin(rule.path, path))),
      ...denied,
    ],
  };
}
