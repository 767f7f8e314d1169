// The policy of the attacks as the wire's `sandbox` object, which our server and the reference both take.
import { pathToFileURL } from "node:url";
import type { AttackPolicy } from "./attack.ts";

/** The `sandbox` member of process/start and of fs/*. */
export function wireSandbox(policy: AttackPolicy, cwd: string): Record<string, unknown> {
  const uri = (path: string) => pathToFileURL(path).href;
  const path = (at: string, access: "read" | "write" | "deny") => ({
    path: { type: "path", path: uri(at) },
    access,
  });
  return {
    windowsSandboxLevel: "disabled",
    cwd: uri(cwd),
    workspaceRoots: policy.writableRoots.map(uri),
    permissions: {
      type: "managed",
      network: policy.network ? "enabled" : "restricted",
      file_system: {
        type: "restricted",
        entries: [
          { path: { type: "special", value: { kind: "root" } }, access: "read" },
          ...policy.writableRoots.map((root) => path(root, "write")),
          ...policy.writableRoots.flatMap((root) =>
            policy.protectedNames.map((name) => path(`${root}/${name}`, "read"))
          ),
          ...policy.deny.map((at) => path(at, "deny")),
          ...policy.denyGlobs.map((pattern) => ({ path: { type: "glob_pattern", pattern }, access: "deny" })),
        ],
      },
    },
  };
}
