/**
 * The command line of bubblewrap. Everything but the program travels over a descriptor: other users can read a
 * command line for as long as it runs, and it has a limit that mounts and variables may exceed.
 *
 * bwrap itself must be started with an empty environment (or only our own marks). It is an ordinary program that
 * runs before there is a sandbox: an `LD_PRELOAD` of the client's would be loaded outside.
 */
import { Buffer } from "node:buffer";
import { existsSync, realpathSync } from "node:fs";
import { posix } from "node:path";
import { invalidParams } from "../protocol/error.ts";
import { mountsOf } from "./mounts.ts";
import type { Plan } from "./plan.ts";
import { accessOf, isWithin, ruleFor } from "./rules.ts";
import { wrapped, WRAPPER_PROGRAMS } from "./wrapper.ts";

/** Descriptors that bwrap inherits. */
export interface SandboxDescriptors {
  /** Reads {@link BubblewrapCommand.options} from it, to the end. */
  readonly options: number;
  /** Reads the filter from it, to the end. */
  readonly seccomp: number;
  /** Writes `{"child-pid": N …}`, and `{"exit-code": N}` if and only if the program was executed. */
  readonly status: number;
  /** Gets one byte, `1`, when the sandbox stands; ends without it when it does not. Undefined: no wrapper. */
  readonly ready: number | undefined;
  /** With `ready`: the program waits for a line from it, so that the mounts can be checked (`mount_check.ts`). */
  readonly go?: number | undefined;
}

/** The numbers to use. The file helper has neither `ready` nor `go`: it says itself when it is there. */
export const DESCRIPTORS = { options: 3, seccomp: 4, status: 5, ready: 6, go: 7 } as const;

/** What to run, and how. */
export interface BubblewrapOptions {
  /** Absolute path, from the probe. */
  readonly bwrap: string;
  /** Absolute path of the program inside, and its argv. */
  readonly program: { readonly file: string; readonly argv: readonly string[] };
  /** Exactly what the program gets, but for `CODEX_SANDBOX_NETWORK_DISABLED`. */
  readonly env: Readonly<Record<string, string>>;
  readonly descriptors: SandboxDescriptors;
  /** Its input and output are a terminal of its own. */
  readonly terminal: boolean;
  /** Our own executable, real path: shown inside, see `executableInside` of `mounts.ts`. */
  readonly executable?: string;
  /** For tests. */
  readonly exists?: (path: string) => boolean;
}

/** What to execute. */
export interface BubblewrapCommand {
  /** `argv[0]` is the file. Start it from the main thread, with an empty environment and `/` as its folder. */
  readonly argv: readonly string[];
  /** To be written to `descriptors.options`, which is then closed. */
  readonly options: Uint8Array;
}

/** More than this bwrap refuses, in its own words (MAX_ARGS of bubblewrap.c). */
const MAX_ARGUMENTS = 9000;

/**
 * The command for a plan.
 * @throws ExecServerError `INVALID_PARAMS` when the policy makes too many mounts, or hides what is needed to start
 * anything; `UNSUPPORTED` when the program cannot be run with its argv[0]
 */
export function bubblewrapCommand(plan: Plan, asked: BubblewrapOptions): BubblewrapCommand {
  const { descriptors, executable, program } = asked;
  const exists = asked.exists ?? existsSync;
  const environment = plan.network ? asked.env : { ...asked.env, CODEX_SANDBOX_NETWORK_DISABLED: "1" };
  if (descriptors.ready !== undefined) requireWrapper(plan);
  const inner = descriptors.ready === undefined
    ? { argv: [program.file, ...program.argv.slice(1)], env: environment }
    : wrapped(program, environment, { ready: descriptors.ready, go: descriptors.go });
  const options = [
    ...namespaces(plan, asked.terminal),
    ...mountsOf(plan, { executable, exists }),
    ...temporaryFolder(plan, environment["TMPDIR"]),
    "--chdir",
    plan.cwd ?? "/",
    "--clearenv",
    ...Object.entries(inner.env).flatMap(([name, value]) => ["--setenv", name, value]),
    "--seccomp",
    `${descriptors.seccomp}`,
    "--json-status-fd",
    `${descriptors.status}`,
  ];
  if (options.length + inner.argv.length > MAX_ARGUMENTS) {
    throw invalidParams("the sandbox policy and the environment together are too large");
  }
  if (options.some((option) => option.includes("\0"))) throw invalidParams("the environment contains a NUL");
  return {
    argv: [asked.bwrap, "--args", `${descriptors.options}`, "--", ...inner.argv],
    options: Buffer.from(options.map((option) => `${option}\0`).join("")),
  };
}

function namespaces(plan: Plan, terminal: boolean): string[] {
  return [
    // Never by itself for uid 0; without it the capabilities of root would be real ones.
    "--unshare-user",
    "--unshare-pid",
    "--unshare-ipc",
    "--unshare-uts",
    "--unshare-cgroup-try",
    ...(plan.network ? [] : ["--unshare-net"]),
    ...(plan.nestedNamespaces ? [] : ["--disable-userns"]),
    "--die-with-parent",
    // With capabilities every mount can be undone.
    "--cap-drop",
    "ALL",
    // It would take the terminal away: no job control, and Ctrl-C for everything. The filter refuses TIOCSTI.
    ...(terminal ? [] : ["--new-session"]),
  ];
}

/** TMPDIR below a private folder is made there; programs expect that it exists. */
function temporaryFolder(plan: Plan, path: string | undefined): string[] {
  if (path === undefined || posix.normalize(path) !== path) return [];
  const folder = plan.privateFolders.find((one) => one !== "/run" && isWithin(path, one) && path !== one);
  const rule = ruleFor(plan, path);
  if (folder === undefined || (rule && isWithin(rule.path, folder))) return [];
  return ["--perms", "0700", "--dir", path];
}

function requireWrapper(plan: Plan): void {
  for (const path of WRAPPER_PROGRAMS) {
    if (accessOf(plan, realPathOf(path)) !== "deny") continue;
    throw invalidParams(`nothing can be started in this sandbox: it hides ${path}; add \`minimal\``);
  }
}

function realPathOf(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path; // bwrap will say that it is missing
  }
}
