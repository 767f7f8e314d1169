/** From the entries of a policy to rules: specials named, paths looked up, what is missing decided. */
import { posix } from "node:path";
import { invalidParams } from "../protocol/error.ts";
import { clip } from "../protocol/quote.ts";
import { type DeniedGlob, locateGlob } from "./glob_scan.ts";
import type { Policy, PolicyEntry } from "./policy.ts";
import { type Link, type Resolved, resolvePath } from "./resolve.ts";
import { type Access, isWithin, least, type Rule } from "./rules.ts";

/** The rules of a policy before anything is protected. */
export interface EntryRules {
  readonly base: Access;
  /** With rules for what is missing; those that protect nothing are dropped later. */
  readonly rules: readonly Rule[];
  readonly globs: readonly DeniedGlob[];
  readonly links: readonly Link[];
  readonly absent: readonly string[];
  /** What was asked for, and how it was found. */
  readonly followed: readonly Followed[];
}

/** A path of the policy and where it led. */
export interface Followed {
  readonly asked: string;
  readonly access: Access;
  readonly found: Resolved;
}

interface Wanted {
  readonly path: string;
  readonly access: Access;
  readonly skipMissing: boolean;
}

interface EntryContext {
  readonly temporaryDirectories: readonly string[];
  readonly platform: NodeJS.Platform;
}

/** What programs need to run at all. */
const PLATFORM_FOLDERS: Readonly<Partial<Record<NodeJS.Platform, readonly string[]>>> = {
  linux: [
    "/bin",
    "/etc",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/sbin",
    "/usr",
    "/nix/store",
    "/run/current-system/sw",
  ],
  darwin: ["/bin", "/sbin", "/usr", "/System", "/Library/Apple", "/private/etc", "/private/var/db/timezone"],
};

/** A sandbox has its own: the host's cannot be granted, and its own cannot be denied. */
const OWN_FOLDERS = ["/proc", "/dev"];
/** What everybody may write to; the sandbox's own. */
const OWN_DEVICES =
  /^\/dev\/(?:null|zero|full|random|urandom|tty|ptmx|pts|shm|fd|stdin|stdout|stderr)(?:\/|$)/;

/** @throws ExecServerError `INVALID_PARAMS` */
export function rulesOfEntries(policy: Policy, context: EntryContext): EntryRules {
  const base = baseOf(policy.entries);
  const globs: DeniedGlob[] = [];
  const rules: Rule[] = [];
  const absent: string[] = [];
  const links: Link[] = [];
  const followed: Followed[] = [];
  for (const pattern of patternsOf(policy)) {
    const { glob, found } = locateGlob(pattern, policy.globDepth);
    links.push(...found.links);
    followed.push({ asked: pattern, access: "deny", found });
    if (found.kind === "missing") absent.push(found.path);
    else globs.push(glob);
  }
  for (const wanted of policy.entries.flatMap((entry) => wantedOf(entry, base, policy, context))) {
    const found = resolvePath(wanted.path);
    const { access } = wanted;
    if (found.kind === "missing") {
      if (access === "write" && !wanted.skipMissing) {
        throw invalidParams(
          `\`${
            clip(wanted.path)
          }\` does not exist and cannot be made writable: make it first, or let it be skipped with \`missing_path_behavior\``,
        );
      }
      if (wanted.skipMissing || access === "write") {
        absent.push(found.path);
        continue;
      }
    }
    if (context.platform === "linux" && isOwn(wanted.path, found.path, access)) continue;
    links.push(...found.links);
    followed.push({ asked: wanted.path, access, found });
    rules.push({ path: found.path, access, kind: found.kind });
  }
  // A path entry for `/` is a rule at `/`: the same as `root`.
  const atRoot = rules.filter((rule) => rule.path === "/").map((rule) => rule.access);
  const rest = rules.filter((rule) => rule.path !== "/");
  const bases = [...(base === undefined ? [] : [base]), ...atRoot];
  return { base: bases.reduce(least, bases[0] ?? "deny"), rules: rest, globs, links, absent, followed };
}

function baseOf(entries: readonly PolicyEntry[]): Access | undefined {
  const given = entries.filter((entry) => entry.place.kind === "root").map((entry) => entry.access);
  return given.length === 0 ? undefined : given.reduce(least);
}

function patternsOf({ entries, cwd, roots }: Policy): string[] {
  return entries.flatMap(({ place }) => {
    if (place.kind !== "glob") return [];
    const folders = place.below === "roots" ? roots : place.below === "cwd" ? [cwd ?? "/"] : undefined;
    return folders?.map((folder) => `${folder === "/" ? "" : escaped(folder)}/${place.pattern}`) ??
      [place.pattern];
  });
}

/** A folder's name in front of a pattern means itself. */
function escaped(folder: string): string {
  return folder.replace(/[\\*?[\]{}]/g, "\\$&");
}

function wantedOf(
  { place, access, skipMissing }: PolicyEntry,
  base: Access | undefined,
  policy: Policy,
  context: EntryContext,
): Wanted[] {
  const all = (paths: readonly string[], skip = skipMissing) =>
    paths.map((path) => ({ path, access, skipMissing: skip }));
  switch (place.kind) {
    case "path":
      return all([place.path]);
    case "roots":
      return all(policy.roots.map((root) => posix.join(root, place.subpath)));
    case "temporary":
      return all(policy.temporaryDirectories ?? context.temporaryDirectories, true);
    case "slash-tmp":
      return all(["/tmp"], true);
    case "minimal":
      // Where everything can be read it says nothing; it never takes away.
      return base === undefined || base === "deny" ? all(PLATFORM_FOLDERS[context.platform] ?? [], true) : [];
    case "root":
    case "glob":
      return [];
  }
}

/** True for what the sandbox has of its own, so that no rule is needed. */
function isOwn(asked: string, real: string, access: Access): boolean {
  if (access === "write" && (isWithin(real, "/sys") || isWithin(asked, "/sys"))) {
    throw invalidParams(`\`${clip(asked)}\` cannot be made writable in a sandbox`);
  }
  const own = OWN_FOLDERS.some((folder) => isWithin(real, folder) || isWithin(asked, folder));
  if (!own) return false;
  if (access === "deny") throw invalidParams(`\`${clip(asked)}\` cannot be denied: a sandbox has its own`);
  if (access === "write" && !OWN_DEVICES.test(asked)) {
    throw invalidParams(`\`${clip(asked)}\` cannot be made writable: a sandbox has its own`);
  }
  return true;
}
