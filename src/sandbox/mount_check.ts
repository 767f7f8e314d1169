/**
 * Whether a sandbox has the mounts of its plan. Between the moment a path is looked up and the moment bwrap mounts
 * it, a program in another sandbox may put a link in its place: bwrap follows it, and mounts something else, or
 * somewhere else. To be checked when the sandbox stands and before the program runs (the `go` descriptor), and for
 * the file helper before the first request.
 */
import { EXECUTABLE_INSIDE, neededRules } from "./mounts.ts";
import type { Plan } from "./plan.ts";
import { accessOf, isWithin, type Rule } from "./rules.ts";

interface Mount {
  readonly device: string;
  /** What of the file system is mounted. */
  readonly root: string;
  readonly path: string;
  readonly writable: boolean;
  readonly type: string;
}

/**
 * What is wrong; undefined when nothing is.
 * @param inside `/proc/PID/mountinfo` of a process in the sandbox: the `child-pid` of bwrap's status
 * @param here our own `/proc/self/mountinfo`
 */
export function mountProblem(plan: Plan, inside: string, here: string): string | undefined {
  const mounts = mountsFrom(inside);
  const ours = mountsFrom(here);
  const top = new Map(mounts.map((mount) => [mount.path, mount])); // later ones cover earlier ones
  for (const rule of neededRules(plan)) {
    const mount = top.get(rule.path);
    if (!mount) return `${rule.path} is not mounted`;
    const problem = whatIsWrong(rule, mount, ours);
    if (problem !== undefined) return `${rule.path} ${problem}`;
  }
  for (const mount of top.values()) {
    if (isOwn(plan, mount)) continue;
    const access = accessOf(plan, mount.path);
    if (mount.writable && access !== "write") return `${mount.path} is writable`;
    if (access === "deny" && !isMask(mount)) return `${mount.path} is visible`;
  }
  return undefined;
}

function whatIsWrong(rule: Rule, mount: Mount, ours: readonly Mount[]): string | undefined {
  if (mount.writable !== (rule.access === "write")) return mount.writable ? "is writable" : "is read-only";
  if (rule.access === "deny" || rule.kind === "missing") return isMask(mount) ? undefined : "is visible";
  let host: Mount | undefined;
  for (const one of ours) {
    if (isWithin(rule.path, one.path) && (!host || one.path.length >= host.path.length)) host = one;
  }
  const below = rule.path.slice(host?.path === "/" ? 0 : host?.path.length);
  const expected = `${host?.root === "/" ? "" : host?.root}${below}` || "/";
  return mount.device === host?.device && mount.root === expected ? undefined : `is ${mount.root} instead`;
}

/** Empty, or a device that cannot be opened. */
function isMask(mount: Mount): boolean {
  return mount.type === "tmpfs" && mount.root === "/" ||
    mount.type === "devtmpfs" && mount.root === "/null" ||
    mount.root.endsWith("/null");
}

/** Made by bwrap for this sandbox alone. */
function isOwn(plan: Plan, { path, type }: Mount): boolean {
  if (isWithin(path, "/dev") || isWithin(path, "/proc")) return true;
  if (path === "/" || path === EXECUTABLE_INSIDE) return plan.base !== "write" || path === "/";
  return plan.privateFolders.includes(path) && type === "tmpfs";
}

function mountsFrom(text: string): Mount[] {
  const mounts: Mount[] = [];
  for (const line of text.split("\n")) {
    const [, , device, root, path, options, ...rest] = line.split(" ");
    if (device === undefined || root === undefined || path === undefined || options === undefined) continue;
    const type = rest[rest.indexOf("-") + 1] ?? "";
    const writable = options.split(",").includes("rw");
    mounts.push({ device, root: plain(root), path: plain(path), writable, type });
  }
  return mounts;
}

/** The kernel writes spaces and such as `\040`, byte by byte. */
function plain(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}
