/**
 * The one plan that a sandbox is made from: every path looked up, every doubt decided. Arguments of bwrap, the
 * profile for macOS, the key of a helper and the texts of errors all come from it.
 */
import { statSync } from "node:fs";
import process from "node:process";
import { invalidParams } from "../protocol/error.ts";
import { clip } from "../protocol/quote.ts";
import type { GlobScanner } from "./glob_cache.ts";
import { type DeniedGlob, scanGlob } from "./glob_scan.ts";
import { rulesOfEntries } from "./plan_entries.ts";
import { withGlobs } from "./plan_globs.ts";
import { isCovered, privateFolders, visibleRules } from "./plan_private.ts";
import { auditRules, gitRules, limited, pins, requireFirmLinks, standing } from "./plan_protection.ts";
import type { Policy } from "./policy.ts";
import { type Link, resolvePath } from "./resolve.ts";
import { accessOf, combined, type RuleTree } from "./rules.ts";

/** What may be done where, and what else holds. Plain data: it travels to the file helper as JSON. */
export interface Plan extends RuleTree {
  /** Patterns that deny; what matched when the plan was made is among the rules. */
  readonly globs: readonly DeniedGlob[];
  /** Links that lead to what the rules are about; needed where everything else is absent. */
  readonly links: readonly Link[];
  /** Paths of the policy that do not exist and get no rule. When one appears, the plan is out of date. */
  readonly absent: readonly string[];
  /** Folders that are the sandbox's own and begin empty. A rule below one of them still holds. */
  readonly privateFolders: readonly string[];
  readonly network: boolean;
  /** Unix sockets may be made (an option of the operator; they reach what listens on this machine). */
  readonly unixSockets: boolean;
  /** User namespaces may be made inside (an option of the operator, for browsers' own sandboxes). */
  readonly nestedNamespaces: boolean;
  /** Real path of the folder to start in. */
  readonly cwd: string | undefined;
}

/** What a plan depends on besides the policy. */
export interface PlanContext {
  /** Native path of the folder to start in; `/` for the file helper. */
  readonly cwd?: string;
  /** The server's own, for `tmpdir` where the client names none. */
  readonly temporaryDirectories: readonly string[];
  /** `/tmp` and `/var/tmp` of its own, where the policy does not grant them: for processes, not for the file helper. */
  readonly privateTemp: boolean;
  /** False: that alone does not make the folder to start in visible below a private folder. */
  readonly cwdVisible?: boolean;
  /** Files that must stay visible below private folders: the program. */
  readonly visible?: readonly string[];
  /** Must not be replaced from inside: our own executable, bwrap. */
  readonly protect?: readonly string[];
  /** Folder of the server's audit log: no root itself, and what lies directly in it cannot be changed from inside. */
  readonly auditFolder?: string | undefined;
  /** Must not be read from inside: what would let a program connect to us. */
  readonly hide?: readonly string[];
  readonly unixSockets?: boolean;
  readonly nestedNamespaces?: boolean;
  /** Remembers scans for a moment; without it each plan scans. */
  readonly scan?: GlobScanner;
  readonly platform?: NodeJS.Platform;
}

/**
 * The plan of a policy, on this disk, now. To be made just before the start, and for the file helper before each
 * request: see `identity.ts`.
 * @throws ExecServerError `INVALID_PARAMS` when a root is missing, a protected path is a link that could be replaced,
 * a pattern matches too much, or something is asked for that could not be enforced
 */
export async function planOf(policy: Policy, context: PlanContext): Promise<Plan> {
  const platform = context.platform ?? process.platform;
  const found = rulesOfEntries(policy, { ...context, platform });
  const tree = (rules: RuleTree["rules"]): RuleTree => ({ base: found.base, rules: combined(rules) });

  let rules = found.rules;
  requireFirmLinks(tree(rules), found.followed);
  rules = [...rules, ...await gitRules(tree(rules))];
  rules = [...rules, ...auditRules(tree(rules), context.auditFolder)];
  rules = limited(tree(rules), context.protect ?? [], "read");
  rules = limited(tree(rules), context.hide ?? [], "deny");
  rules = await withGlobs(tree(rules), found.globs, context.scan ?? scanGlob);

  const { rules: standingRules, absent } = standing(tree(rules));
  const pinned = pins(tree(standingRules), found.globs.map(({ base }) => base));
  const cwd = context.cwd === undefined ? undefined : resolvePath(context.cwd);
  if (cwd && cwd.kind !== "directory") {
    throw invalidParams(`cwd \`${clip(context.cwd ?? "")}\` is no directory`);
  }
  const settled = { base: found.base, rules: standingRules };
  const own = privateFolders(settled, { privateTemp: context.privateTemp, platform });
  const visible = [
    ...(context.cwd === undefined || context.cwdVisible === false ? [] : [context.cwd]),
    ...(context.visible ?? []).filter(isRegularFile), // nobody asks for a socket as program but to reach it
  ];
  const plan: Plan = {
    base: found.base,
    rules: combined([...standingRules, ...pinned, ...visibleRules(settled, own, visible, policy.network)]),
    globs: found.globs,
    links: cwd ? [...found.links, ...cwd.links] : found.links,
    absent: [...found.absent, ...absent],
    privateFolders: own,
    network: policy.network,
    unixSockets: context.unixSockets ?? false,
    nestedNamespaces: context.nestedNamespaces ?? false,
    cwd: cwd?.path,
  };
  requireVisibleCwd(plan);
  return plan;
}

function isRegularFile(path: string): boolean {
  try {
    return statSync(path).isFile();
  } catch {
    return false; // the start will say so
  }
}

/**
 * Refuses a plan whose starting folder cannot be seen: bwrap would fail, in its own words.
 * @throws ExecServerError `INVALID_PARAMS`
 */
export function requireVisibleCwd(plan: Plan): void {
  const { cwd } = plan;
  if (cwd === undefined || cwd === "/" || plan.privateFolders.includes(cwd)) return;
  const why = isCovered(plan, cwd)
    ? "it lies in a folder that this sandbox has of its own, and is no root; start elsewhere"
    : accessOf(plan, cwd) === "deny"
    ? "let it be read, or start in another folder"
    : undefined;
  if (why !== undefined) throw invalidParams(`cwd \`${clip(cwd)}\` is hidden by the sandbox: ${why}`);
}
