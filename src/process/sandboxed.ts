/**
 * A child in a sandbox: bubblewrap around the command, and the wait until it stands.
 *
 * ```text
 * bwrap                what we start and reap; ends with the program's exit code
 *   bwrap              init of the sandbox; ignores signals
 *     /bin/sh          says that it stands, waits until the mounts are checked, becomes
 *       (setsid)       with a terminal; becomes
 *         the program
 * ```
 *
 * With a terminal everything down to the program is without one: else Ctrl-C would end bwrap, and with it all.
 */
import { Buffer } from "node:buffer";
import { existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { ExecServerError, internalError, invalidParams, unsupported } from "../protocol/error.ts";
import { clip } from "../protocol/quote.ts";
import type { SandboxContext } from "../protocol/sandbox.ts";
import type { ExtraDescriptors } from "../runtime/child.ts";
import { sealedDescriptor } from "../runtime/memfd.ts";
import { bubblewrapCommand, DESCRIPTORS } from "../sandbox/bubblewrap.ts";
import type { Enforcement } from "../sandbox/enforcement.ts";
import type { Plan, PlanContext } from "../sandbox/plan.ts";
import { tryResolvePath } from "../sandbox/resolve.ts";
import { accessOf } from "../sandbox/rules.ts";
import { childPid, claimed, mountProblemOf } from "../sandbox/standing.ts";
import type { StubClaim } from "../sandbox/stubs.ts";
import { cannotEnforce } from "../sandbox/unavailable.ts";
import type { Launched } from "./launch.ts";
import { signalGroup } from "./process_group.ts";
import { programIn } from "./program_inside.ts";
import { type LimitedCommand, limitedCommand } from "./resource_limits.ts";
import { withArgv0 } from "../command/argv0.ts";

/** What a start is to be held to. */
export interface Enforced {
  readonly enforcement: Enforcement;
  /** What the client asks for; the server's floor holds also without. */
  readonly asked: SandboxContext | null | undefined;
}

/** A plan whose stand-ins are there. */
export interface Prepared {
  readonly plan: Plan;
  readonly bwrap: string;
  readonly filter: Uint8Array;
  readonly claim: StubClaim;
}

/** What to run inside. */
export interface Inside {
  /** With its limits; they hold inside. */
  readonly command: LimitedCommand;
  readonly tty: boolean;
  /** What bwrap itself is started with. */
  readonly marks: Readonly<Record<string, string>>;
  /** The cgroup that all of it joins. */
  readonly cgroupProcsFile: string | undefined;
}

/** Starts what is given with further descriptors. */
export type Spawner = (command: LimitedCommand, cwd: string, extra: ExtraDescriptors) => Promise<Launched>;

/** bwrap takes 15 ms; on a machine that swaps, seconds. A folder on a dead network disk hangs it for ever. */
const STAND_LIMIT_MS = 20_000;
/** What is told of bwrap's complaint. */
const MAX_COMPLAINT_BYTES = 2_000;
const COMPLAINT_LIMIT_MS = 1_000;
const SETSID_PATHS = ["/usr/bin/setsid", "/bin/setsid", "/run/current-system/sw/bin/setsid"];

/**
 * Makes the plan of a start and its stand-ins; undefined when no sandbox is to be made. What is returned has to be
 * released.
 * @param file the program
 * @throws ExecServerError as {@link Enforcement.plan}; `INVALID_PARAMS` when the program is hidden
 */
export async function prepare(
  { enforcement, asked }: Enforced,
  { cwd, file }: { cwd: string; file: string },
): Promise<Prepared | undefined> {
  const context: PlanContext = { cwd, temporaryDirectories: [tmpdir()], privateTemp: true, visible: [file] };
  let bwrap = "";
  const made = await claimed(async () => {
    const plan = await enforcement.plan(asked, context);
    if (!plan) return undefined;
    requireVisible(plan, file);
    ({ bwrap } = await enforcement.available());
    return plan;
  }, enforcement.journal);
  return made && { ...made, bwrap, filter: enforcement.filter(made.plan) };
}

function requireVisible(plan: Plan, file: string): void {
  const real = tryResolvePath(file)?.path ?? file;
  if (accessOf(plan, real) === "deny") {
    throw invalidParams(
      `the sandbox hides the program \`${clip(file)}\`: let it be read, or add \`minimal\``,
    );
  }
}

/**
 * Starts the program in its sandbox, and resolves when that stands and has the mounts of its plan. Whatever goes wrong,
 * nothing of the program has been executed, and nothing is left.
 * @param began called with bwrap's pid in the turn of its start; the function tells the program's group
 * @throws ExecServerError -32603 with bwrap's words
 */
export async function launchInside(
  { plan, bwrap, filter, claim }: Prepared,
  { command, tty, marks, cgroupProcsFile }: Inside,
  spawn: Spawner,
  began: (pid: number, group: () => number | undefined) => void,
): Promise<Launched> {
  const program = tty ? withTerminal(plan, command) : command;
  const wrapped = bubblewrapCommand(plan, {
    bwrap,
    program,
    env: program.env,
    descriptors: DESCRIPTORS,
    terminal: false,
  });
  const outer = limitedCommand({}, { file: bwrap, argv: wrapped.argv }, { env: marks, cgroupProcsFile });
  const files = [wrapped.options, filter].map(sealedDescriptor);
  let child: Launched;
  try {
    const fds = files.flatMap((file) => file ? [file.fd] : []);
    if (fds.length < files.length) throw cannotEnforce("seccomp-refused", "no descriptor for the filter");
    child = await spawn(outer, "/", { files: fds, outputs: 2, inputs: 1 });
  } finally {
    for (const file of files) file?.close();
  }
  const inside = programIn();
  began(child.pid, inside.group);
  const [status, ready] = child.extra?.outputs ?? [];
  const [go] = child.extra?.inputs ?? [];
  if (!status || !ready || !go) throw new Error("unreachable: descriptors were asked for");
  // Open until the end: bwrap writes the exit code to it, and would die of a broken pipe.
  child.exited.finally(() => status.close());
  try {
    await within(STAND_LIMIT_MS, async () => {
      const init = await childPid(status);
      if (await ready.read() === null || init === undefined) throw notStanding();
      const problem = mountProblemOf(plan, init);
      if (problem !== undefined) throw notStanding(problem);
      inside.found(init);
      await go.write(Buffer.from("go\n")).catch(() => {
        throw notStanding();
      });
    });
  } catch (error) {
    signalGroup(child.pid, "SIGKILL");
    throw await withComplaint(error, child);
  } finally {
    ready.close();
    go.close();
  }
  return { ...child, inside: { group: inside.group }, release: () => claim.release().catch(() => {}) }; // the next start of a server removes them
}

/** A session of its own that takes the terminal: bwrap and its init are in others, out of the keyboard's reach. */
function withTerminal(plan: Plan, command: LimitedCommand): LimitedCommand {
  const setsid = SETSID_PATHS.find((path) =>
    existsSync(path) && accessOf(plan, tryResolvePath(path)?.path ?? path) !== "deny"
  );
  if (setsid === undefined) {
    throw unsupported("a terminal in a sandbox takes setsid(1), which is not here or hidden: see `minimal`");
  }
  // setsid looks a name up in the PATH again, as env(1) does.
  const { argv, env } = withArgv0(command, command.env);
  return { file: setsid, argv: [setsid, "-c", ...argv], env };
}

function notStanding(problem?: string): ExecServerError {
  return internalError(`the sandbox could not be set up${problem === undefined ? "" : `: ${problem}`}`);
}

async function within(limitMs: number, action: () => Promise<void>): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(notStanding(`it took longer than ${limitMs / 1000} s`)), limitMs);
  });
  try {
    await Promise.race([action(), late]);
  } finally {
    clearTimeout(timer);
  }
}

/** The same error with what bwrap said; everything of the child is closed. */
async function withComplaint(error: unknown, child: Launched): Promise<unknown> {
  const source = child.outputs.at(-1)?.source;
  const said: Uint8Array[] = [];
  let bytes = 0;
  const collect = async () => {
    for (;;) {
      const chunk = await source?.read();
      if (!chunk) return;
      if (bytes < MAX_COMPLAINT_BYTES) said.push(chunk);
      bytes += chunk.length;
    }
  };
  await within(COMPLAINT_LIMIT_MS, async () => {
    await Promise.all([child.exited, collect()]);
  }).catch(() => {});
  for (const output of child.outputs) output.source.close();
  child.input?.destroy();
  const text = Buffer.concat(said).subarray(0, MAX_COMPLAINT_BYTES).toString().trim();
  if (text === "" || !(error instanceof ExecServerError)) return error;
  return internalError(`${error.message}: ${text}`);
}
