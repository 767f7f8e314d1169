/** One file helper: the process, from its start in the sandbox to its end, and the requests on their way. */
import { Buffer } from "node:buffer";
import { existsSync } from "node:fs";
import process from "node:process";
import { type ExecServerError, fromWire, internalError } from "../protocol/error.ts";
import { MAX_MESSAGE_BYTES } from "../protocol/limits.ts";
import { clip } from "../protocol/quote.ts";
import { send } from "../runtime/signal.ts";
import { type Deferred, deferred } from "../runtime/deferred.ts";
import type { ByteSource, Child } from "../runtime/child.ts";
import { lazyTimer } from "../runtime/lazy_timer.ts";
import { sealedDescriptor } from "../runtime/memfd.ts";
import { spawnChild } from "../runtime/spawn.ts";
import { bubblewrapCommand, DESCRIPTORS } from "../sandbox/bubblewrap.ts";
import { executableInside } from "../sandbox/mounts.ts";
import type { Plan } from "../sandbox/plan.ts";
import { childPid, mountProblemOf } from "../sandbox/standing.ts";
import { cannotEnforce } from "../sandbox/unavailable.ts";
import { linesOf } from "./helper_lines.ts";
import { openingText, readAnswer, readReady } from "./helper_messages.ts";
import { withLibraries } from "./helper_libraries.ts";

/** What to start. */
export interface HelperStart {
  readonly plan: Plan;
  readonly bwrap: string;
  /** The compiled executable, real path. */
  readonly executable: string;
  readonly filter: () => Uint8Array;
  /** What the sandbox leaves on the host; called once, when the process is gone. */
  readonly release: () => Promise<void>;
}

/** A helper that is ready. */
export interface HelperProcess {
  /** Carries out one request. @throws ExecServerError what the request failed with, or `INTERNAL` with the helper */
  request(method: string, params: unknown, limitMs: number): Promise<unknown>;
  /** Ends it at once; what is on its way fails. */
  kill(why: string): void;
  /** URIs of temporary files that are being written; when it has ended: that it left. */
  readonly temporaries: ReadonlySet<string>;
  /** It takes no more requests. */
  readonly over: boolean;
  /** Resolves when the process and what it left on the host are gone. */
  readonly ended: Promise<void>;
}

/** A start takes 40 ms; on a machine that swaps, seconds. */
const START_LIMIT_MS = 10_000;
/** Files that a helper may have open: 64 requests and 128 open files of a connection need a few each. Where we may have less, it may. */
export const MAX_HELPER_OPEN_FILES = 1024;
/** Temporary files that are remembered of one helper: one for each write that is on its way, or file that is open for it. */
const MAX_TEMPORARIES = 1024;
const SHELL = "/bin/sh";
/** Becomes bwrap, with limits that nothing inside can raise: no core files, which hold what others may not read. */
const LIMITED = `ulimit -c 0 && { ulimit -n ${MAX_HELPER_OPEN_FILES} 2>/dev/null || :; } && exec "$@"`;
/** An answer is a message of ours, with an id. */
const MAX_LINE_BYTES = MAX_MESSAGE_BYTES + 4096;
/** Of what bwrap or the helper say when they fail. */
const MAX_ERROR_CHARACTERS = 2_000;

/**
 * Starts one, and checks that its mounts are those of the plan.
 * @throws ExecServerError `INTERNAL` when it does not come up
 */
export async function startHelper(start: HelperStart): Promise<HelperProcess> {
  let child: Child;
  const mounts = withLibraries(start.plan);
  try {
    child = await spawn(mounts, start);
  } catch (error) {
    await start.release();
    throw error;
  }
  const helper = talk(child, start.release);
  const timer = setTimeout(() => helper.kill("did not start in time"), START_LIMIT_MS);
  try {
    helper.say(openingText(start.plan));
    const status = child.extra?.outputs[0];
    if (!status) throw internalError("unreachable: the status descriptor was asked for");
    helper.ended.finally(() => status.close());
    const [pid] = await Promise.all([childPid(status), helper.ready]);
    if (pid === undefined) throw internalError("the sandbox could not be made");
    const problem = mountProblemOf(mounts, pid);
    if (problem !== undefined) throw internalError(`the sandbox is not what it should be: ${problem}`);
    return helper;
  } catch (error) {
    helper.kill("did not start");
    await helper.ended;
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

async function spawn(plan: Plan, { bwrap, executable, filter }: HelperStart): Promise<Child> {
  requireShell();
  const inside = executableInside(plan, executable);
  const command = bubblewrapCommand(plan, {
    bwrap,
    program: { file: inside, argv: [inside, "fs-helper"] },
    env: environment(),
    descriptors: { ...DESCRIPTORS, ready: undefined, go: undefined },
    terminal: false,
    executable,
  });
  const options = sealedDescriptor(command.options);
  const seccomp = sealedDescriptor(filter());
  try {
    if (!options || !seccomp) throw cannotEnforce("unsupported-platform", "no descriptors without a name");
    return await spawnChild({
      file: SHELL,
      argv: [SHELL, "-c", LIMITED, "exec-server", ...command.argv],
      cwd: "/",
      env: {},
      stdin: true,
      extra: { files: [options.fd, seccomp.fd], outputs: 1, inputs: 0 },
    });
  } finally {
    options?.close();
    seccomp?.close();
  }
}

function requireShell(): void {
  if (!existsSync(SHELL)) {
    throw internalError(`a file helper takes ${SHELL}, to limit what it may use: install it`);
  }
}

/** Nothing that a policy could have hidden: no tokens, no settings of a runtime. */
function environment(): Record<string, string> {
  const names = ["PATH", "TMPDIR", "LANG"];
  return Object.fromEntries(names.flatMap((name) => {
    const value = process.env[name];
    return value === undefined ? [] : [[name, value]];
  }));
}

async function each(source: ByteSource, take: (bytes: Uint8Array) => void): Promise<void> {
  try {
    for (let bytes = await source.read(); bytes !== null; bytes = await source.read()) take(bytes);
  } catch {
    // as at the end
  } finally {
    source.close();
  }
}

/** A request that has no answer yet. */
interface Waiting {
  readonly result: Deferred<unknown>;
  readonly since: number;
  readonly limitMs: number;
}

interface Talking extends HelperProcess {
  readonly ready: Promise<void>;
  say(text: string): void;
}

function talk(child: Child, release: () => Promise<void>): Talking {
  const waiting = new Map<number, Waiting>();
  const temporaries = new Set<string>();
  const ready = deferred<void>();
  ready.promise.catch(() => {}); // also said by the end of the process
  let errors = "";
  let isReady = false;
  let lastId = 0;
  let failure: ExecServerError | undefined;

  const fail = (why: string) => {
    failure ??= internalError(`the file helper ${why}${errors === "" ? "" : `: ${clip(errors.trim())}`}`);
    ready.reject(failure);
    for (const { result } of waiting.values()) result.reject(failure);
    waiting.clear();
    limit.clear();
  };
  const kill = (why: string) => {
    fail(why);
    send(-child.pid, "SIGKILL"); // bwrap leads the group; with it goes everything inside
  };
  /** One timer for all: those who ask with the same limit are over in the order in which they asked. */
  const limit = lazyTimer(() => {
    const [oldest] = waiting.values();
    kill(`did not answer in ${(oldest?.limitMs ?? 0) / 1000} s`);
  });
  const watch = () => {
    const [oldest] = waiting.values();
    if (oldest) limit.set(oldest.since + oldest.limitMs);
    else limit.clear();
  };
  const settle = (line: string) => {
    if (!isReady) {
      readReady(line);
      isReady = true;
      return ready.resolve();
    }
    const answer = readAnswer(line);
    if ("temporary" in answer) {
      if (temporaries.size < MAX_TEMPORARIES) temporaries.add(answer.temporary);
      return;
    }
    if ("settled" in answer) return void temporaries.delete(answer.settled);
    const one = waiting.get(answer.id);
    waiting.delete(answer.id);
    watch();
    if ("error" in answer) one?.result.reject(fromWire(answer.error.code, answer.error.message));
    else one?.result.resolve(answer.result);
  };
  const lines = linesOf(MAX_LINE_BYTES, settle);
  let isSound = true;
  const distrust = (why: string) => {
    isSound = false;
    kill(why);
  };
  const output = each(child.stdout, (bytes) => {
    if (!isSound) return;
    // Also when it is being ended: what it says of temporary files counts.
    try {
      if (!lines.push(bytes)) distrust("said too much");
    } catch {
      distrust("said something else than an answer");
    }
  });
  const complaints = each(child.stderr, (bytes) => {
    if (errors.length < MAX_ERROR_CHARACTERS) errors += Buffer.from(bytes).toString();
  });
  // One after the other, the first at once; what cannot be written is found out by the end of the process.
  let writing = 0;
  let written: Promise<unknown> = Promise.resolve();
  const say = (text: string) => {
    const write = () => child.stdin?.write(Buffer.from(text));
    written = (writing++ === 0 ? Promise.resolve(write()) : written.then(write)).catch(() => {})
      .finally(() => writing--);
  };
  const ended = child.exited.then(async () => {
    await Promise.all([output, complaints]);
    fail(
      isReady
        ? "has ended: look whether the request was carried out, and ask again"
        : "could not be started, and nothing was carried out",
    );
    child.stdin?.destroy();
    await release().catch(() => {}); // the journal knows what is left
  });

  return {
    ready: ready.promise,
    say,
    ended,
    temporaries,
    kill,
    get over() {
      return failure !== undefined;
    },
    request(method, params, limitMs) {
      if (failure) return Promise.reject(failure);
      const id = ++lastId;
      say(`${JSON.stringify({ id, method, params })}\n`);
      const result = deferred<unknown>();
      waiting.set(id, { result, since: performance.now(), limitMs });
      if (waiting.size === 1) watch();
      return result.promise;
    },
  };
}
