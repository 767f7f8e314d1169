/**
 * From a plan to the mounts of bwrap. A later mount covers an earlier one, so parents come before children; what has
 * to be written into is made read-only at the end, children first.
 */
import { posix } from "node:path";
import type { Plan } from "./plan.ts";
import type { Link } from "./resolve.ts";
import { accessAbove, accessOf, depthOf, inOrder, isWithin, type Rule } from "./rules.ts";

/** One mount: a link, a rule, or a private folder. */
interface Step {
  readonly path: string;
  readonly link?: Link;
  readonly rule?: Rule;
}

/** Where our own executable is in a sandbox that hides it: `/run` is nobody's workspace. */
export const EXECUTABLE_INSIDE = "/run/exec-server";

/** What is mounted besides the plan. */
export interface MountOptions {
  /** Real path of our own executable, to be shown as {@link executableInside} says. */
  readonly executable?: string | undefined;
  /** Which of some paths exist on this machine. */
  readonly exists: (path: string) => boolean;
}

/**
 * Parts of /proc that are the machine's, not the namespace's: for uid 0 they would be writable. `irq` and `bus` are not
 * among them: bwrap itself covers those where they can be written to (bubblewrap 0.8, `cover_proc_dirs`), and each mount
 * more costs 0.2 ms of a start.
 */
const PROC_FOLDERS = ["sys", "sysrq-trigger", "fs", "acpi", "scsi", "asound"];
/** Parts of /proc that tell about the machine's memory and log. */
const PROC_SECRETS = ["kcore", "kmsg", "keys", "timer_list", "sched_debug", "latency_stats"];

/** The path of our executable inside. Under a private `/run` it is a mount of its own, beyond reach. */
export function executableInside(plan: Plan, executable: string): string {
  const ownRun = plan.privateFolders.includes("/run") ||
    plan.base === "deny" && accessOf(plan, "/run") === "deny";
  return ownRun ? EXECUTABLE_INSIDE : executable;
}

/** The options of bwrap for the file system. */
export function mountsOf(plan: Plan, options: MountOptions): string[] {
  const before: string[] = [];
  const after: string[][] = [];
  const start = plan.base === "deny"
    ? ["--tmpfs", "/"]
    : [plan.base === "write" ? "--bind" : "--ro-bind", "/", "/"];
  if (plan.base === "deny") after.push(["--remount-ro", "/"]);
  before.push(...start, ...devices(plan, options));

  const steps: Step[] = [
    ...linksOf(plan).map((link): Step => ({ path: link.path, link })),
    ...plan.privateFolders.map((path): Step => ({ path })),
    ...neededRules(plan).map((rule): Step => ({ path: rule.path, rule })),
  ];
  for (const { path, link, rule } of inOrder(steps)) {
    if (link) before.push("--symlink", link.target, path);
    else if (rule) mount(plan, rule, before, after);
    else before.push("--perms", modeOfPrivate(path), "--tmpfs", path);
  }
  if (options.executable !== undefined) {
    const inside = executableInside(plan, options.executable);
    if (inside !== options.executable || accessOf(plan, inside) === "deny") {
      before.push("--ro-bind", options.executable, inside);
    }
  }
  if (plan.privateFolders.includes("/run")) after.push(["--remount-ro", "/run"]);
  return [...before, ...after.reverse().flat()];
}

function devices(plan: Plan, { exists }: MountOptions): string[] {
  const options = ["--dev", "/dev", "--proc", "/proc"];
  for (const name of PROC_FOLDERS) {
    if (exists(`/proc/${name}`)) options.push("--ro-bind", `/proc/${name}`, `/proc/${name}`);
  }
  for (const name of PROC_SECRETS) {
    if (exists(`/proc/${name}`)) options.push("--ro-bind", "/dev/null", `/proc/${name}`);
  }
  // Full write does not mean the kernel's settings: uid 0 of the sandbox owns those files.
  if (plan.base === "write" && exists("/sys")) options.push("--ro-bind", "/sys", "/sys");
  return options;
}

function modeOfPrivate(path: string): string {
  return path === "/run" ? "0755" : "1777";
}

function mount(plan: Plan, rule: Rule, before: string[], after: string[][]): void {
  const { path, access, kind } = rule;
  if (kind === "missing") {
    before.push("--perms", access === "deny" ? "0000" : "0555", "--tmpfs", path);
    after.push(["--remount-ro", path]);
  } else if (access === "write") {
    before.push("--bind", path, path);
  } else if (access === "read") {
    before.push("--ro-bind", path, path);
  } else if (kind === "directory") {
    // What is granted again below has to be reached; the names on the way show, nothing else.
    const grants = plan.rules.some((other) =>
      other.access !== "deny" && other.path !== path && isWithin(other.path, path)
    );
    before.push("--perms", grants ? "0111" : "0000", "--tmpfs", path);
    after.push(["--remount-ro", path]);
  } else {
    // A device on a mount without devices: it cannot be opened (EACCES).
    before.push("--ro-bind", "/dev/null", path);
  }
}

/** The rules that are mounts; others change nothing. */
export function neededRules(plan: Plan): Rule[] {
  return plan.rules.filter((rule) => isNeeded(plan, rule));
}

function isNeeded(plan: Plan, rule: Rule): boolean {
  if (rule.pin) return true;
  // /proc and /dev are the sandbox's own: nothing of the host's may come there.
  if (isWithin(rule.path, "/proc") || isWithin(rule.path, "/dev")) return false;
  const above = accessAbove(plan, rule.path);
  if (above !== rule.access || rule.kind === "missing") return true;
  const folder = plan.privateFolders.find((path) => isWithin(rule.path, path) && path !== rule.path);
  if (folder === undefined || rule.access === "deny") return false;
  // Hidden by the private folder, unless something between the two shows it.
  return !plan.rules.some((other) =>
    other.path !== rule.path && other.access === rule.access && isWithin(rule.path, other.path) &&
    isWithin(other.path, folder)
  );
}

/** Links on the way to what is shown, where everything else is absent. */
function linksOf(plan: Plan): Link[] {
  if (plan.base !== "deny") return [];
  const byPath = new Map(plan.links.map((link) => [link.path, link]));
  return [...byPath.values()].filter(({ path }) => {
    const folder = posix.dirname(path);
    return depthOf(path) > 0 && accessOf(plan, folder) === "deny" &&
      !plan.rules.some((rule) => rule.path === path || rule.access === "deny" && isWithin(path, rule.path));
  });
}
