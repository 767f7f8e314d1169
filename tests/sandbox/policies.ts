// Policies for tests, as they come over the wire.
import * as v from "valibot";
import { invalidParams } from "../../src/protocol/error.ts";
import { formatPathUri } from "../../src/protocol/path_uri.ts";
import { enforcedSandbox } from "../../src/protocol/sandbox.ts";
import { type Plan, type PlanContext, planOf } from "../../src/sandbox/plan.ts";
import { type Policy, policyOf } from "../../src/sandbox/policy.ts";

/** Members of the sandbox object besides `permissions`. */
export type Extra = Record<string, unknown>;

/** An entry for a path, with a `file:` URI. */
export const at = (path: string, access: string, extra: Extra = {}) => ({
  path: { type: "path", path: formatPathUri(path) },
  access,
  ...extra,
});
/** An entry for a special path. */
export const special = (kind: string, access: string, extra: Extra = {}) => ({
  path: { type: "special", value: { kind, ...extra } },
  access,
});
/** A denying pattern. */
export const glob = (pattern: string, access = "deny") => ({
  path: { type: "glob_pattern", pattern },
  access,
});
/** Missing is fine. */
export const skip = { missing_path_behavior: "skip" };

/** A managed, restricted sandbox object. */
export function managed(entries: readonly unknown[], extra: Extra = {}): Record<string, unknown> {
  const { network = "restricted", glob_scan_max_depth, ...rest } = extra;
  const depth = glob_scan_max_depth === undefined ? {} : { glob_scan_max_depth };
  return {
    permissions: { type: "managed", network, file_system: { type: "restricted", entries, ...depth } },
    windowsSandboxLevel: "disabled",
    ...rest,
  };
}

/** As a handler does it: decode, then understand. */
export function policyFrom(object: unknown): Policy | undefined {
  const parsed = v.safeParse(enforcedSandbox(), object, { abortEarly: true });
  if (!parsed.success) throw invalidParams(parsed.issues[0].message);
  return policyOf(parsed.output);
}

/** The plan of a sandbox object that asks for one. */
export async function planOfObject(object: unknown, context: Partial<PlanContext> = {}): Promise<Plan> {
  const policy = policyFrom(object);
  if (policy === undefined) throw new Error("this object asks for no sandbox");
  return await planOf(policy, { temporaryDirectories: [], privateTemp: false, ...context });
}

/** The plan of a managed policy. */
export function planFrom(
  entries: readonly unknown[],
  extra: Extra = {},
  context: Partial<PlanContext> = {},
): Promise<Plan> {
  return planOfObject(managed(entries, extra), context);
}
