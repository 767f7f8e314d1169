/** What a workload of the benchmark is, and what it is given. */
import type { Bare } from "./peers/bare.ts";
import type { Ssh } from "./peers/ssh.ts";

/**
 * Who does a workload: our server with a plain JSON client, our server with our library, the reference with the same
 * plain JSON client, OpenSSH over a multiplexed connection, the bare system calls, and a bare WebSocket.
 */
export const CONTENDERS = ["json", "library", "codex", "ssh", "bare", "websocket"] as const;
/** One of {@link CONTENDERS}. */
export type Contender = typeof CONTENDERS[number];

/** ms, MiB and KiB are better when smaller, the others when larger. MB is 10^6 bytes. */
export type Unit = "ms" | "/s" | "MB/s" | "MiB" | "KiB";

/** One number of a workload. */
export interface Figure {
  /** Its name among those of the workload. */
  readonly key: string;
  /** What the tables call it. */
  readonly title: string;
  readonly unit: Unit;
  /** Where it grows with something: how many there were. Plotted, and not in the tables except for the largest. */
  readonly x?: number;
  /** How many times better than another contender ours is to be, with the plain JSON client; below 1: worse. */
  readonly targets?: Readonly<Partial<Record<Contender, number>>>;
  /** The same with our library, which speaks binary messages to our server. */
  readonly libraryTargets?: Readonly<Partial<Record<Contender, number>>>;
}

/** What one round of a contender measured, by the keys of the figures. */
export type Measured = Readonly<Record<string, number>>;

/** A contender that is ready. */
export interface Running {
  /** The server whose peak memory is told, if there is one. */
  readonly pid?: number | undefined;
  /** Does the work once. */
  round(): Promise<Measured>;
  /** Ends everything it started and waits for it. */
  close(): Promise<void>;
}

/** Makes a contender ready. Fails with the reason when it cannot do this workload. */
export type Open = (scene: Scene) => Promise<Running>;

/** One job that is measured. */
export interface Workload {
  /** For `--only`. */
  readonly name: string;
  /** What exactly is done, for the page; one sentence. */
  readonly about: string;
  readonly figures: readonly Figure[];
  /** Measured rounds; one more comes before them and is not counted. */
  readonly rounds: number;
  /** The longest that opening, one round or closing of one contender may take, in ms. */
  readonly limitMs: number;
  readonly contenders: Readonly<Partial<Record<Contender, Open>>>;
}

/** What all workloads share. */
export interface Scene {
  /** An empty folder on a real disk, removed at the end. */
  readonly scratch: string;
  /** The executable of the reference; undefined when it is left out. */
  readonly codex: string | undefined;
  /** A multiplexed connection to a server of our own; undefined when it is left out. */
  readonly ssh: Ssh | undefined;
  readonly bare: Bare;
  /** The amount of work: the second in a quick run. */
  pick<T>(full: T, quick: T): T;
}

/** The time that work takes, in ms. */
export async function timed(work: () => Promise<unknown>): Promise<number> {
  const from = performance.now();
  await work();
  return performance.now() - from;
}

/** Does `count` jobs, `atOnce` of them at a time; returns how many were done in a second. */
export async function perSecond(
  count: number,
  atOnce: number,
  job: () => Promise<unknown>,
): Promise<number> {
  let left = count;
  const worker = async () => {
    while (left-- > 0) await job();
  };
  const ms = await timed(() => Promise.all(Array.from({ length: atOnce }, worker)));
  return count / (ms / 1000);
}

/** Does jobs one after another; the median of their times in ms. */
export async function medianOf(count: number, job: () => Promise<unknown>): Promise<number> {
  const times: number[] = [];
  while (times.length < count) times.push(await timed(job));
  return times.sort((a, b) => a - b)[Math.floor(count / 2)] ?? NaN;
}

/** The ssh of a scene. @throws when it is left out */
export function sshOf(scene: Scene): Ssh {
  if (!scene.ssh) throw new Error("left out");
  return scene.ssh;
}
