/** What one server enforces: its floor, and the means for it. Nothing is looked at before the first sandbox. */
import { existsSync, realpathSync } from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import type { SandboxContext } from "../protocol/sandbox.ts";
import { makeOwnFolder, stateFolder as ownStateFolder } from "../runtime/user_folders.ts";
import { findBwrap } from "./find_bwrap.ts";
import { type Floor, floorPlan, narrow } from "./floor.ts";
import { type Plan, type PlanContext, planOf } from "./plan.ts";
import { policyOf } from "./policy.ts";
import { createProbe, type ProbeResult } from "./probe.ts";
import { seccompFilter } from "./seccomp.ts";
import type { FilterArch } from "./seccomp_syscalls.ts";
import { openStubJournal, type StubJournal } from "./stubs.ts";
import { cannotEnforce } from "./unavailable.ts";

/** The sandbox of a server. */
export interface Enforcement {
  /** Real path of our own program, to be run as `fs-helper` when compiled. */
  readonly executable: string;
  /** The most that any request may do; undefined: what it asks for. */
  readonly floor: Floor | undefined;
  /**
   * The plan that holds for a request, now; undefined when no sandbox was asked for and there is no floor. Our
   * executable, bwrap, the journal and the audit log are protected besides what the context names.
   * @throws ExecServerError `INVALID_PARAMS` for a policy that makes no sense; `INVALID_REQUEST` when no sandbox can
   * be made here
   */
  plan(asked: SandboxContext | null | undefined, context: PlanContext): Promise<Plan | undefined>;
  /** Where bwrap is. @throws ExecServerError `INVALID_REQUEST` when no sandbox can be made here */
  available(): Promise<{ readonly bwrap: string }>;
  /** As {@link available}, without complaint. */
  probe(): Promise<ProbeResult>;
  /** The filter for a plan. The same bytes again for the same kind of plan. */
  filter(plan: Plan): Uint8Array;
  /** Of this user on this machine. What dead servers left is removed before the first claim. */
  readonly journal: StubJournal;
}

/** What an operator decides. */
export interface EnforcementOptions {
  readonly floor?: Floor | undefined;
  /** Where the journal is, on a disk that survives a restart. Default: `exec-server` in XDG's state folder. */
  readonly stateFolder?: string | undefined;
  /** Files and folders that no sandbox may read: tokens, and where they are. */
  readonly secrets?: readonly string[] | undefined;
  /** The audit log: no sandbox may change it, or put another file in its place. */
  readonly auditLog?: string | undefined;
}

/** The enforcement of a server. Costs nothing until it is used. */
export function createEnforcement(
  { floor, stateFolder, secrets, auditLog }: EnforcementOptions = {},
): Enforcement {
  const state = stateFolder ?? ownStateFolder();
  const filters = new Map<string, Uint8Array>();
  const filter = (plan: Pick<Plan, "network" | "nestedNamespaces" | "unixSockets">) => {
    const { network, nestedNamespaces, unixSockets } = plan;
    const key = `${network} ${nestedNamespaces} ${unixSockets}`;
    let bytes = filters.get(key);
    if (!bytes) {
      bytes = seccompFilter({
        network,
        nestedNamespaces,
        arch: architecture(),
        ...(unixSockets && { unixSockets }),
      });
      filters.set(key, bytes);
    }
    return bytes;
  };
  const probe = createProbe({
    filter: () => filter({ network: false, nestedNamespaces: false, unixSockets: false }),
  });
  const executable = realPathOf(process.execPath);
  const available = async () => {
    const result = await probe();
    if (!result.available) throw cannotEnforce(result.reason, result.detail);
    return { bwrap: result.bwrap };
  };
  const protect = () => {
    const bwrap = findBwrap();
    const log = auditLog === undefined ? [] : [auditLog];
    return [executable, ..."path" in bwrap ? [bwrap.path] : [], state, ...log];
  };
  return {
    executable,
    floor,
    probe,
    available,
    filter,
    journal: lazyJournal(state),
    async plan(asked, context) {
      const policy = policyOf(asked);
      if (!policy && !floor) return undefined;
      await available();
      claimFolder(state);
      const whole = {
        ...context,
        protect: [...protect(), ...context.protect ?? []],
        auditFolder: auditLog === undefined ? undefined : dirname(auditLog),
        hide: [...secrets ?? [], ...context.hide ?? []],
      };
      const plan = policy && await planOf(policy, whole);
      return floor ? narrow(plan, await floorPlan(floor, whole)) : plan;
    },
  };
}

/**
 * Makes the state folder while nothing in a sandbox could be there before us. Where it cannot be made it is protected as
 * a name that is missing, and who needs the journal hears why.
 */
function claimFolder(state: string): void {
  try {
    makeOwnFolder(state);
  } catch {
    // said by the journal
  }
}

function lazyJournal(folder: string): StubJournal {
  const journal = openStubJournal(folder);
  let swept: Promise<void> | undefined;
  const sweep = async () => {
    if (existsSync(join(folder, "stubs.json"))) await journal.sweep();
  };
  return {
    async claim(plan) {
      await (swept ??= sweep());
      return await journal.claim(plan);
    },
    sweep: () => swept = sweep(),
  };
}

function architecture(): FilterArch {
  if (process.arch === "x64" || process.arch === "arm64") return process.arch;
  throw cannotEnforce("unsupported-platform", process.arch);
}

function realPathOf(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path; // removed since we were started
  }
}
