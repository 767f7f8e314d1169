/**
 * File requests in a sandbox: each is carried out by a helper, a second process of this program inside bubblewrap.
 * Helpers are kept for the next request with the same policy, within bounds. There is no other way: when no helper
 * can be had, or one fails, the request fails.
 */
import { tmpdir } from "node:os";
import { internalError } from "../protocol/error.ts";
import type { Method } from "../protocol/method.ts";
import type { SandboxContext } from "../protocol/sandbox.ts";
import { isCompiled } from "../runtime/self_command.ts";
import type { Enforcement } from "../sandbox/enforcement.ts";
import { createGlobScanner } from "../sandbox/glob_cache.ts";
import { identityOf, keyOf } from "../sandbox/identity.ts";
import type { Plan } from "../sandbox/plan.ts";
import { changing, claimed } from "../sandbox/standing.ts";
import { type LazyTimer, lazyTimer } from "../runtime/lazy_timer.ts";
import { cannotEnforce } from "../sandbox/unavailable.ts";
import type { SandboxedFiles } from "./handler.ts";
import { helperCaller } from "./helper_caller.ts";
import { DISCARD } from "./helper_messages.ts";
import { type HelperProcess, startHelper } from "./helper_process.ts";
import { createLeftovers } from "./leftovers.ts";

/** Helpers of one connection: an agent has one policy, or two. Each takes 50 MB. */
export const MAX_HELPERS_PER_CONNECTION = 4;
/** Helpers of a server. */
export const MAX_HELPERS = 32;
/** A helper that nobody uses ends after so long: the next request pays 50 ms for a new one. */
const IDLE_MS = 30_000;
/** A request that takes longer never ends: a dead network file system. */
const REQUEST_LIMIT_MS = 60_000;
/** What a request may still take when its connection is gone. */
const ABANDONED_LIMIT_MS = 2_000;
/** How old a plan with patterns may get: what they match is looked up again then. */
const GLOB_AGE_MS = 1_000;
/** How often a start is repeated because the disk changes all the time. */
const MAX_ATTEMPTS = 5;

/** What tests change. */
export interface SandboxedFilesOptions {
  /** What is started as helper; undefined: nothing can be. Default: this program, when it is compiled. */
  readonly executable?: string | undefined;
  readonly requestLimitMs?: number;
  readonly idleMs?: number;
  readonly maxHelpers?: number;
}

type Asked = SandboxContext | null | undefined;

interface Helper {
  readonly slot: Slot;
  readonly process: HelperProcess;
  readonly plan: Plan;
  /** Of the plan, at its start. */
  readonly identity: string;
  /** When the patterns were last looked up. */
  scannedAt: number;
  /** Requests that have it, also those that are not sent yet, and open files. */
  users: number;
  /** Open files among them. */
  files: number;
  readonly idle: LazyTimer;
}

/** A place for a helper, from before its start until it is gone. */
interface Slot {
  readonly connection: Connection;
  helper: Helper | undefined;
  usedAt: number;
  /** Nobody new gets it; it ends with its last request. */
  retired: boolean;
  /** Its place is wanted: it ends with its last request, though files are open in it. */
  crowded: boolean;
  readonly retire: () => void;
  readonly gone: Promise<void>;
}

interface Connection {
  readonly signal: AbortSignal;
  readonly slots: Set<Slot>;
  /** By policy, as the client wrote it; those that start, too. */
  readonly helpers: Map<string, Promise<Helper>>;
  /** Those of them that have started. */
  readonly ready: Map<string, Helper>;
}

/** The sandboxed files of a server. A connection's helpers end with it: with the signal of its requests. */
export function createSandboxedFiles(
  enforcement: Enforcement,
  options: SandboxedFilesOptions = {},
): SandboxedFiles {
  const executable = "executable" in options
    ? options.executable
    : isCompiled
    ? enforcement.executable
    : undefined;
  const requestLimitMs = options.requestLimitMs ?? REQUEST_LIMIT_MS;
  const idleMs = options.idleMs ?? IDLE_MS;
  const maxHelpers = options.maxHelpers ?? MAX_HELPERS;
  const scan = createGlobScanner();
  const connections = new WeakMap<AbortSignal, Connection>();
  const all = new Set<Slot>();
  const leftovers = createLeftovers();
  let clock = 0;

  const planFor = async (asked: Asked): Promise<Plan | undefined> => {
    const plan = await enforcement.plan(asked, {
      cwd: "/",
      temporaryDirectories: [tmpdir()],
      privateTemp: false,
      scan,
      ...(executable !== undefined && { visible: [executable], protect: [executable] }),
    });
    return plan && { ...plan, network: false };
  };

  const connectionOf = (signal: AbortSignal): Connection => {
    const known = connections.get(signal);
    if (known) return known;
    const made: Connection = { signal, slots: new Set(), helpers: new Map(), ready: new Map() };
    const end = () => {
      for (const slot of made.slots) {
        slot.retire();
        // What has begun may come to its end, so that no half of it stays.
        setTimeout(() => slot.helper?.process.kill("is not needed any more"), ABANDONED_LIMIT_MS).unref?.();
      }
    };
    signal.addEventListener("abort", end, { once: true });
    connections.set(signal, made);
    return made;
  };

  /** Waits until there is a place, and takes it. */
  const takeSlot = async (connection: Connection, forget: () => void) => {
    for (;;) {
      connection.signal.throwIfAborted();
      const { slots } = connection;
      const crowd = slots.size >= MAX_HELPERS_PER_CONNECTION
        ? slots
        : all.size >= maxHelpers
        ? all
        : undefined;
      if (!crowd) break;
      const last = leastUseful(crowd);
      last.crowded = true;
      last.retire();
      if (last.helper) endUnused(last.helper);
      await last.gone;
    }
    let leave = () => {};
    const slot: Slot = {
      connection,
      helper: undefined,
      usedAt: ++clock,
      retired: false,
      crowded: false,
      gone: new Promise<void>((resolve) => leave = resolve),
      retire() {
        if (slot.retired) return;
        slot.retired = true;
        forget();
        if (slot.helper) endUnused(slot.helper);
      },
    };
    connection.slots.add(slot);
    all.add(slot);
    const free = () => {
      slot.retire();
      connection.slots.delete(slot);
      all.delete(slot);
      leave();
    };
    return { slot, free };
  };

  const endUnused = ({ idle, users, files, process, slot }: Helper) => {
    idle.clear();
    if (users === 0) process.kill("is not needed any more");
    else if (slot.crowded && users === files) process.kill("had to make room for other policies");
  };

  const start = async (
    connection: Connection,
    key: string,
    asked: Asked,
    forget: () => void,
  ): Promise<Helper> => {
    const { slot, free } = await takeSlot(connection, forget);
    try {
      const { bwrap } = await enforcement.available();
      let identity = "";
      const made = await claimed(async () => {
        const plan = await planFor(asked);
        if (plan) identity = identityOf(plan); // before its stand-ins are made: what changes meanwhile is noticed
        return plan;
      }, enforcement.journal);
      if (!made) throw internalError("unreachable: the same request asked for a sandbox before");
      const { plan, claim } = made;
      const process = await startHelper({
        plan,
        bwrap,
        executable: executable ?? "",
        filter: () => enforcement.filter(plan),
        release: () => claim.release(),
      });
      const scannedAt = performance.now();
      const idle = lazyTimer(() => slot.retire());
      const helper: Helper = { slot, process, plan, identity, scannedAt, users: 0, files: 0, idle };
      slot.helper = helper;
      process.ended.then(() => {
        idle.clear();
        leftovers.add(key, process.temporaries);
        free();
      });
      await leftovers.discard(key, (paths) => process.request(DISCARD, { paths }, requestLimitMs));
      if (connection.signal.aborted) process.kill("is not needed any more");
      return helper;
    } catch (error) {
      free();
      throw error;
    }
  };

  const helperOf = (connection: Connection, key: string, asked: Asked): Promise<Helper> => {
    const known = connection.helpers.get(key);
    if (known) return known;
    const forget = () => {
      if (connection.helpers.get(key) !== started) return;
      connection.helpers.delete(key);
      connection.ready.delete(key);
    };
    const started: Promise<Helper> = start(connection, key, asked, forget);
    connection.helpers.set(key, started);
    started.then((helper) => {
      if (connection.helpers.get(key) === started) connection.ready.set(key, helper);
    }, forget);
    return started;
  };

  /** Whether a helper is still what the policy says, on this disk, now; as far as that is known without a scan. */
  const stands = ({ process, plan, identity }: Helper) => !process.over && identityOf(plan) === identity;
  const isScanned = ({ plan, scannedAt }: Helper) =>
    plan.globs.length === 0 || performance.now() - scannedAt < GLOB_AGE_MS;
  const holds = async (helper: Helper, asked: Asked): Promise<boolean> => {
    if (!stands(helper)) return false;
    if (isScanned(helper)) return true;
    const now = performance.now();
    const plan = await planFor(asked);
    if (!plan || keyWithStandIns(helper.plan) !== keyWithStandIns(plan)) return false;
    helper.scannedAt = now;
    return stands(helper);
  };

  /** The helper of the last request, if it holds: without waiting for anything. */
  const takeReady = (connection: Connection, key: string): Helper | undefined => {
    const helper = connection.ready.get(key);
    if (!helper || helper.slot.retired || !isScanned(helper) || !stands(helper)) return undefined;
    use(helper);
    return helper;
  };

  /** A helper that is ready, and counted as used. */
  const take = async (connection: Connection, key: string, asked: Asked): Promise<Helper> => {
    for (let tries = 0; tries < MAX_ATTEMPTS; tries++) {
      const helper = await helperOf(connection, key, asked);
      use(helper);
      let isGood = false;
      try {
        isGood = await holds(helper, asked);
      } finally {
        if (!isGood) {
          helper.slot.retire();
          release(helper);
        }
      }
      if (isGood) return helper;
    }
    throw changing();
  };

  const use = (helper: Helper) => {
    helper.users++;
    helper.idle.clear();
  };
  const release = (helper: Helper) => {
    helper.users--;
    helper.slot.usedAt = ++clock;
    if (helper.slot.retired) return endUnused(helper);
    if (helper.users === 0) helper.idle.set(performance.now() + idleMs);
  };

  /** A helper that is ready, to be released; undefined when no sandbox is needed. */
  const acquire = async (asked: Asked, signal: AbortSignal): Promise<Helper | undefined> => {
    if ((asked === null || asked === undefined) && enforcement.floor === undefined) return undefined;
    const key = keyOfAsked(asked);
    const connection = connectionOf(signal);
    if (!connection.helpers.has(key)) {
      // Also says what is wrong with a policy, before anything is ended to make room.
      if (await planFor(asked) === undefined) return undefined;
      if (executable === undefined) {
        throw cannotEnforce(
          "needs-executable",
          "file requests are carried out by a helper, which is the compiled executable",
        );
      }
    }
    return takeReady(connection, key) ?? await take(connection, key, asked);
  };

  return {
    async call(asked, method: Method, params, signal) {
      const helper = await acquire(asked, signal);
      if (!helper) return undefined;
      try {
        return { result: await helper.process.request(method.name, params, requestLimitMs) };
      } finally {
        release(helper);
      }
    },
    async hold(asked, signal) {
      const helper = await acquire(asked, signal);
      if (!helper) return undefined;
      helper.files++;
      if (helper.slot.crowded) endUnused(helper); // its place was wanted before it could be seen what for it is used
      let held = true;
      return {
        caller: helperCaller((name, params) => helper.process.request(name, params, requestLimitMs)),
        release() {
          if (!held) return;
          held = false;
          helper.files--;
          release(helper);
        },
      };
    },
    async close() {
      const slots = [...all];
      for (const slot of slots) {
        slot.retire();
        slot.helper?.process.kill("ends with the server");
      }
      await Promise.all(slots.map(({ gone }) => gone));
    },
  };
}

const askedKeys = new WeakMap<SandboxContext, string>();

/** The same text for the same policy; a policy that has been decoded once is also written down once. */
function keyOfAsked(asked: Asked): string {
  const known = asked && askedKeys.get(asked);
  if (known !== undefined && known !== null) return known;
  const key = JSON.stringify(asked ?? null);
  if (asked) askedKeys.set(asked, key);
  return key;
}

/** A retired one first, then one that nobody uses, one with open files only, the one whose use is longest ago. */
function leastUseful(slots: ReadonlySet<Slot>): Slot {
  const rank = ({ retired, helper }: Slot) => {
    if (!helper) return retired ? 0 : 4;
    if (helper.files > 0) return helper.users > helper.files ? 3 : 2;
    return retired ? 0 : helper.users > 0 ? 3 : 1;
  };
  const [least] = [...slots].sort((a, b) => rank(a) - rank(b) || a.usedAt - b.usedAt);
  if (!least) throw new Error("unreachable: there is no room because there are some");
  return least;
}

/** The key of a plan for which a stand-in is as good as what it stands for: nothing. */
function keyWithStandIns(plan: Plan): string {
  return keyOf({
    ...plan,
    rules: plan.rules.map((rule) => rule.kind === "missing" ? { ...rule, kind: "directory" } : rule),
  });
}
