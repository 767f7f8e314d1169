/** The most that the operator allows, whatever a client asks for. */
import { type Plan, type PlanContext, planOf, requireVisibleCwd } from "./plan.ts";
import { isCovered } from "./plan_private.ts";
import { pins, standing } from "./plan_protection.ts";
import type { PolicyEntry } from "./policy.ts";
import { PROTECTED_NAMES } from "./protected_names.ts";
import { accessOf, combined, intersection, ruleFor } from "./rules.ts";

/** `--sandbox-floor`, with its folders. */
export interface Floor {
  readonly kind: "read-only" | "workspace-write";
  /** `--sandbox-root`: native absolute paths. Each must exist. Without meaning for `read-only`. */
  readonly roots: readonly string[];
  /** Whether a sandbox may have the network on. */
  readonly network: boolean;
}

/**
 * What the floor allows here and now. Made anew for each start, as every plan: names to protect may have appeared.
 * @throws ExecServerError `INVALID_PARAMS` as {@link planOf}
 */
export function floorPlan(floor: Floor, context: PlanContext): Promise<Plan> {
  const entries: PolicyEntry[] = [{ place: { kind: "root" }, access: "read", skipMissing: false }];
  for (const root of floor.kind === "workspace-write" ? floor.roots : []) {
    entries.push({ place: { kind: "path", path: root }, access: "write", skipMissing: false });
    for (const name of PROTECTED_NAMES) {
      const path = `${root === "/" ? "" : root}/${name}`;
      entries.push({ place: { kind: "path", path }, access: "read", skipMissing: true });
    }
  }
  const policy = {
    entries,
    network: floor.network,
    cwd: undefined,
    roots: [],
    temporaryDirectories: undefined,
    globDepth: undefined,
  };
  // Where a client wants to start must not show what the operator did not name.
  return planOf(policy, { ...context, cwdVisible: false });
}

/**
 * In every point the lesser of what was asked for and what is allowed.
 * @param plan undefined when no sandbox was asked for: the floor itself then
 * @param floor made with the same context as the plan
 * @throws ExecServerError `INVALID_PARAMS` when the starting folder cannot be seen in both
 */
export function narrow(plan: Plan | undefined, floor: Plan): Plan {
  if (plan === undefined) return floor;
  const both = intersection(plan, floor);
  // A folder that one of them has of its own stays empty, but for what that one shows in it.
  const seen = both.rules.filter(({ access, path }) =>
    access === "deny" || !(isCovered(plan, path) || isCovered(floor, path))
  );
  const { rules, absent } = standing({ ...both, rules: seen });
  const globs = [...plan.globs, ...floor.globs];
  const pinned = pins({ ...both, rules }, globs.map(({ base }) => base));
  const whole = { base: both.base, rules: combined([...rules, ...pinned]) };
  const narrowed: Plan = {
    ...whole,
    globs,
    links: [...plan.links, ...floor.links],
    absent: [...plan.absent, ...floor.absent, ...absent],
    privateFolders: [...new Set([...plan.privateFolders, ...floor.privateFolders])].filter((path) =>
      (plan.privateFolders.includes(path) || accessOf(plan, path) !== "deny") &&
      ruleFor(whole, path)?.access !== "deny"
    ),
    network: plan.network && floor.network,
    unixSockets: plan.unixSockets && floor.unixSockets,
    nestedNamespaces: plan.nestedNamespaces && floor.nestedNamespaces,
    cwd: plan.cwd ?? floor.cwd,
  };
  requireVisibleCwd(narrowed);
  return narrowed;
}
