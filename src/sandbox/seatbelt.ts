/**
 * The sandbox of macOS from the same plan: a profile for sandbox-exec(1). UNTESTED: written from documentation and
 * compared as text only, until the attack list has been run on a Mac. Nothing may rely on it before.
 *
 * Paths go in as parameters, never into the profile's text. Where two rules are about one path the last one counts,
 * so that parents come first, as with mounts.
 */
import { type Rule, ruleFor } from "./rules.ts";
import type { Plan } from "./plan.ts";

/** Always this one: another in the PATH could be anything. */
export const SANDBOX_EXEC = "/usr/bin/sandbox-exec";

/** What programs need to start at all: harmless reads of the system's state. */
const SYSCTL_NAMES = [
  "hw.activecpu",
  "hw.byteorder",
  "hw.cachelinesize",
  "hw.cputype",
  "hw.logicalcpu",
  "hw.machine",
  "hw.memsize",
  "hw.model",
  "hw.ncpu",
  "hw.pagesize",
  "hw.physicalcpu",
  "kern.argmax",
  "kern.hostname",
  "kern.maxfilesperproc",
  "kern.osproductversion",
  "kern.osrelease",
  "kern.ostype",
  "kern.osversion",
  "kern.version",
  "sysctl.proc_cputype",
  "vm.loadavg",
];
const MACH_NAMES = ["com.apple.system.opendirectoryd.libinfo", "com.apple.system.notification_center"];
const DEVICES = ["/dev/null", "/dev/zero", "/dev/tty", "/dev/dtracehelper"];

/** A profile and the parameters it names. */
export interface SeatbeltProfile {
  readonly text: string;
  readonly parameters: Readonly<Record<string, string>>;
}

/** The profile of a plan. */
export function seatbeltProfile(plan: Plan, { terminal }: { terminal: boolean }): SeatbeltProfile {
  const parameters: Record<string, string> = {};
  const named = (rule: Rule) => {
    const name = `PATH_${Object.keys(parameters).length}`;
    parameters[name] = rule.path;
    // `subpath` is the path and all below it, `literal` the path alone; what is missing may become either.
    return rule.kind === "file" ? `(literal (param "${name}"))` : `(subpath (param "${name}"))`;
  };
  const lines = [
    "(version 1)",
    "(deny default)",
    "(allow process-exec process-fork)",
    "(allow signal (target same-sandbox))",
    "(allow process-info* (target same-sandbox))",
    `(allow sysctl-read ${SYSCTL_NAMES.map((name) => `(sysctl-name "${name}")`).join(" ")})`,
    `(allow mach-lookup ${MACH_NAMES.map((name) => `(global-name "${name}")`).join(" ")})`,
    '(allow file-read-metadata (literal "/"))',
    ...(plan.base === "deny" ? [] : ["(allow file-read*)"]),
    ...(plan.base === "write" ? ["(allow file-write*)"] : []),
    `(allow file-read* file-write-data file-ioctl ${DEVICES.map((path) => `(literal "${path}")`).join(" ")})`,
    ...(terminal
      ? ["(allow pseudo-tty)", '(allow file-read* file-write* file-ioctl (regex #"^/dev/ttys[0-9]+$"))']
      : []),
    ...plan.rules.filter((rule) => !rule.pin).flatMap((rule) => linesOf(plan, rule, named(rule))),
    ...plan.globs.map((glob) => `(deny file-read* file-write* (regex #"${regexOf(glob)}"))`),
    ...(plan.network ? ["(allow network*)", "(allow system-socket)"] : []),
  ];
  return { text: `${lines.join("\n")}\n`, parameters };
}

/** The command for a program. */
export function seatbeltCommand(profile: SeatbeltProfile, argv: readonly string[]): string[] {
  const parameters = Object.entries(profile.parameters).flatMap(([name, path]) => ["-D", `${name}=${path}`]);
  return [SANDBOX_EXEC, "-p", profile.text, ...parameters, "--", ...argv];
}

function linesOf(plan: Plan, rule: Rule, filter: string): string[] {
  const above = ruleFor(plan, rule.path, true)?.access ?? plan.base;
  if (rule.access === "deny") return [`(deny file-read* file-write* ${filter})`];
  const read = above === "deny" ? [`(allow file-read* ${filter})`] : [];
  if (rule.access === "write") return [...read, `(allow file-write* ${filter})`];
  return above === "write" ? [`(deny file-write* ${filter})`] : read;
}

/** Holds also for files that are made later, which mounts cannot. */
function regexOf({ base, rest }: { readonly base: string; readonly rest: string }): string {
  // How to write a quote there is not documented: any character stands for it, which denies rather too much.
  const literal = (text: string) => text.replaceAll('"', ".").replace(/[\\^$*+?()[\]{}|]/g, "\\$&");
  const prefix = `^${literal(base === "/" ? "" : base)}`;
  if (rest === "" || rest === "**") return `${prefix}(/.*)?$`;
  let source = "";
  for (let at = 0; at < rest.length;) {
    const here = rest.slice(at);
    const part = /^(?:\*\*\/|\*\*$|\*+|\?|\[[!^]?\]?[^\]]*\]|\{|\}|,|\\.|.)/su.exec(here)?.[0] ?? here;
    at += part.length;
    if (part === "**/") source += "([^/]+/)*";
    else if (part === "**") source += ".+";
    else if (part.startsWith("*")) source += "[^/]*";
    else if (part === "?") source += "[^/]";
    else if (part.startsWith("[")) source += part.includes('"') ? "[^/]" : part.replace(/^\[!/, "[^");
    else if (part === "{") source += "(";
    else if (part === "}") source += ")";
    else if (part === "," && /\{[^}]*$/.test(rest.slice(0, at - 1))) source += "|";
    else source += literal(part.startsWith("\\") ? part.slice(1) : part);
  }
  return `${prefix}/${source}(/.*)?$`;
}
