/**
 * Whether a sandbox can be made here, found out by making one and looking at it from inside. What fails is told by
 * trying less and less, never by the words of bwrap: they change.
 */
import { Buffer } from "node:buffer";
import { execFile } from "node:child_process";
import process from "node:process";
import { owned } from "../runtime/owned_children.ts";
import { bubblewrapCommand, DESCRIPTORS } from "./bubblewrap.ts";
import { BWRAP_PATHS, findBwrap } from "./find_bwrap.ts";
import type { Plan } from "./plan.ts";
import { type Runner, runOnce, type RunResult } from "./run_once.ts";
import { HINTS, type UnavailableReason } from "./unavailable.ts";

/** What sandboxes can be had. */
export type ProbeResult = AvailableSandbox | UnavailableSandbox;

/** They can. */
export interface AvailableSandbox {
  readonly available: true;
  /** Real path of bwrap. */
  readonly bwrap: string;
  /** As it says, for example `0.8.0`. */
  readonly version: string;
}

/** They cannot. */
export interface UnavailableSandbox {
  readonly available: false;
  readonly reason: UnavailableReason;
  /** What was seen. */
  readonly detail: string;
  /** What to do. */
  readonly hint: string;
}

/** What a probe depends on. */
export interface ProbeOptions {
  /** The filter of a process without network. */
  readonly filter: () => Uint8Array;
  readonly platform?: NodeJS.Platform;
  readonly paths?: readonly string[];
  readonly run?: Runner;
  readonly versionOf?: (bwrap: string) => Promise<string>;
  readonly now?: () => number;
}

/** `--disable-userns`, and options over a descriptor. */
const LEAST_VERSION = [0, 8] as const;
/** A failure may have been one of the moment: no memory, no processes. */
const RETRY_AFTER_MS = 10_000;

/** Reads what holds inside; each line is compared. */
const LOOK = [
  "grep -E '^(CapEff|CapBnd|CapPrm|NoNewPrivs|Seccomp):' /proc/self/status",
  'echo "pid $$"',
  'for path in / /etc /usr /proc/sys/kernel/core_pattern; do if test -w $path; then echo "writable $path"; fi; done',
  "if (: >/exec-server-probe) 2>/dev/null; then echo 'writable root'; fi",
  "if (: >>/proc/sys/kernel/core_pattern) 2>/dev/null; then echo 'writable core_pattern'; fi",
  "if unshare -U true 2>/dev/null; then echo 'nested namespaces'; fi",
  "echo done",
].join("\n");

/** The plan of the probe: read-only, no network. */
const PLAN: Plan = {
  base: "read",
  rules: [],
  globs: [],
  links: [],
  absent: [],
  privateFolders: [],
  network: false,
  unixSockets: false,
  nestedNamespaces: false,
  cwd: "/",
};

/** A probe with a memory: a success holds for as long as the server runs, a failure for some seconds. */
export function createProbe(options: ProbeOptions): () => Promise<ProbeResult> {
  const now = options.now ?? (() => performance.now());
  let last: Promise<ProbeResult> | undefined;
  let failedAt: number | undefined;
  return () => {
    if (last && (failedAt === undefined || now() - failedAt < RETRY_AFTER_MS)) return last;
    failedAt = undefined;
    last = probe(options).then((result) => {
      if (!result.available) failedAt = now();
      return result;
    });
    return last;
  };
}

async function probe(options: ProbeOptions): Promise<ProbeResult> {
  if ((options.platform ?? process.platform) !== "linux") return no("unsupported-platform", process.platform);
  const found = findBwrap(options.paths ?? BWRAP_PATHS);
  if ("problem" in found) {
    return found.problem === "missing"
      ? no("bwrap-missing", `not at ${(options.paths ?? BWRAP_PATHS).join(", ")}`)
      : no("bwrap-untrusted", found.problem);
  }
  const bwrap = found.path;
  const version = await (options.versionOf ?? versionOf)(bwrap);
  if (!isRecent(version)) return no("bwrap-too-old", version === "" ? "it does not run" : version);

  const run = options.run ?? runOnce;
  const filter = options.filter();
  const command = bubblewrapCommand(PLAN, {
    bwrap,
    program: { file: "/bin/sh", argv: ["/bin/sh", "-c", LOOK] },
    env: { PATH: "/usr/bin:/bin" },
    descriptors: { ...DESCRIPTORS, go: undefined },
    terminal: false,
  });
  const result = await run(command, filter);
  if (result.executed && result.ready) {
    const problem = whatDidNotHold(result.stdout);
    return problem === undefined ? { available: true, bwrap, version } : no("not-held", problem);
  }
  return no(await whatIsRefused(bwrap, run, filter), lastLine(result));
}

/** Tries the parts in turn; the first that does not work is the reason. */
async function whatIsRefused(bwrap: string, run: Runner, filter: Uint8Array): Promise<UnavailableReason> {
  const steps: [UnavailableReason, string[]][] = [
    ["userns-refused", ["--unshare-user"]],
    ["proc-mount-refused", ["--unshare-pid", "--dev", "/dev", "--proc", "/proc"]],
    ["network-namespace-refused", ["--unshare-net"]],
    ["seccomp-refused", ["--seccomp", `${DESCRIPTORS.seccomp}`]],
  ];
  const tried = ["--ro-bind", "/", "/"];
  for (const [reason, added] of steps) {
    tried.push(...added);
    const options = [...tried, "--json-status-fd", `${DESCRIPTORS.status}`];
    const result = await run({
      argv: [bwrap, "--args", `${DESCRIPTORS.options}`, "--", "/bin/sh", "-c", ":"],
      options: Buffer.from(options.map((option) => `${option}\0`).join("")),
    }, filter);
    if (!result.executed) return reason;
  }
  return "not-held";
}

function whatDidNotHold(stdout: string): string | undefined {
  const lines = stdout.split("\n");
  const field = (name: string) => lines.find((line) => line.startsWith(`${name}:`))?.split(/\s+/)[1];
  const bad = lines.filter((line) => /^(writable|nested) /.test(line));
  for (const name of ["CapEff", "CapBnd", "CapPrm"]) {
    if (!/^0+$/.test(field(name) ?? "")) bad.push(`${name} ${field(name) ?? "?"}`);
  }
  if (field("NoNewPrivs") !== "1") bad.push("no_new_privs is off");
  if (field("Seccomp") !== "2") bad.push("no seccomp filter");
  if (!lines.includes("done")) bad.push("the check did not end");
  return bad.length === 0 ? undefined : bad.join(", ");
}

function no(reason: UnavailableReason, detail: string): UnavailableSandbox {
  return { available: false, reason, detail, hint: HINTS[reason] };
}

function lastLine(result: RunResult): string {
  return result.stderr.trim().split("\n").at(-1)?.slice(0, 300) ?? "";
}

function isRecent(version: string): boolean {
  const [major = -1, minor = -1] = version.split(".").map(Number);
  return major > LEAST_VERSION[0] || (major === LEAST_VERSION[0] && minor >= LEAST_VERSION[1]);
}

function versionOf(bwrap: string): Promise<string> {
  return new Promise((resolve) => {
    owned(execFile(bwrap, ["--version"], { env: {}, timeout: 5_000 }, (error, stdout) => {
      resolve(error ? "" : /(\d+\.\d+(?:\.\d+)?)/.exec(stdout)?.[1] ?? "");
    }));
  });
}
