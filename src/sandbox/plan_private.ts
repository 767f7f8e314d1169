/** Folders that a sandbox has of its own, and what stays visible below them. */
import { tryResolvePath } from "./resolve.ts";
import { accessOf, isWithin, type Rule, ruleFor, type RuleTree } from "./rules.ts";

/** Where all programs of this machine leave files for each other. */
const TEMPORARY = ["/tmp", "/var/tmp"];
/** Sockets of daemons: docker, dbus, agents. */
const RUN = "/run";

/**
 * The folders that begin empty: those that the policy says nothing special about.
 *
 * Where nothing is readable, `/tmp` is made all the same: few programs run without one.
 */
export function privateFolders(
  tree: RuleTree,
  { privateTemp, platform }: { privateTemp: boolean; platform: NodeJS.Platform },
): string[] {
  if (platform !== "linux" || tree.base === "write") return [];
  const wanted = [...(privateTemp ? TEMPORARY : []), ...(tree.base === "read" ? [RUN] : [])];
  const own: string[] = [];
  for (const path of wanted) {
    const rule = ruleFor(tree, path);
    if (rule?.path === path || rule?.access === "write" || rule?.access === "deny") continue;
    // A mount needs something to be mounted on; what a link leads to is private by its own name, or not ours to hide.
    const exists = tree.base === "deny" && rule === undefined ||
      isRealFolder(path);
    if (exists) own.push(path);
  }
  return own;
}

function isRealFolder(path: string): boolean {
  const found = tryResolvePath(path);
  return found?.path === path && found.kind === "directory";
}

/** Whether a path is a private folder or in one, without a rule in there that shows what the host has. */
export function isCovered(
  { privateFolders: own, ...tree }: RuleTree & { readonly privateFolders: readonly string[] },
  path: string,
): boolean {
  const folder = own.find((one) => isWithin(path, one));
  const rule = ruleFor(tree, path);
  return folder !== undefined &&
    (rule === undefined || rule.path === folder || !isWithin(rule.path, folder));
}

/** Rules that show again what a private folder would hide: it grants nothing new. */
export function visibleRules(
  tree: RuleTree,
  own: readonly string[],
  visible: readonly string[],
  network: boolean,
): Rule[] {
  const rules: Rule[] = [];
  for (const path of visible) {
    const found = tryResolvePath(path);
    if (!found || found.kind === "missing" || accessOf(tree, found.path) === "deny") continue;
    const folder = own.find((one) => isWithin(found.path, one) && found.path !== one);
    const known = ruleFor(tree, found.path);
    if (folder === undefined || (known && isWithin(known.path, folder))) continue;
    rules.push({ path: found.path, access: accessOf(tree, found.path), kind: found.kind });
  }
  return network ? [...rules, ...resolverRules(tree)] : rules;
}

/** With the network on names are looked up, by a file that many systems keep below /run. */
function resolverRules(tree: RuleTree): Rule[] {
  const named = "/etc/resolv.conf";
  const found = tryResolvePath(named);
  const isAsked = accessOf(tree, named) !== "deny" && ruleFor(tree, found?.path ?? "/") === undefined;
  if (found?.kind !== "file" || found.path === named || !isAsked) return [];
  return [{ path: found.path, access: "read", kind: "file" }];
}
