/**
 * What our own executable needs to run where a policy shows nothing of the system. The helper refuses what the policy
 * does not grant, these too.
 */
import { posix } from "node:path";
import type { Plan } from "../sandbox/plan.ts";
import { tryResolvePath } from "../sandbox/resolve.ts";
import { accessOf, combined, type Rule } from "../sandbox/rules.ts";

const LOADERS = ["/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1"];
const FOLDERS = ["/lib/x86_64-linux-gnu", "/lib/aarch64-linux-gnu", "/lib64", "/usr/lib64", "/usr/lib"];
/** Those of the C library: the executable has everything else in it. */
const LIBRARIES = ["libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1"];

/** The plan of the mounts: what a policy grants, and the C library. */
export function withLibraries(plan: Plan): Plan {
  const rules: Rule[] = [];
  const links = [...plan.links];
  const wanted = [
    ...LOADERS,
    ...FOLDERS.flatMap((folder) => LIBRARIES.map((name) => posix.join(folder, name))),
  ];
  for (const path of wanted) {
    const found = tryResolvePath(path);
    if (found?.kind !== "file" || accessOf(plan, found.path) !== "deny") continue;
    // Where exactly this file is denied it stays denied, and the helper does not start.
    rules.push({ path: found.path, access: "read", kind: "file" });
    links.push(...found.links);
  }
  return rules.length === 0 ? plan : { ...plan, rules: combined([...plan.rules, ...rules]), links };
}
