// What an attack is. Every attack is data: what it tries, the program that tries it inside the sandbox, and how one
// sees from outside whether it came through. How the program is started is the runner's caller's matter.
import type { Scene } from "./scene.ts";

/** A program for the inside, without a compiler and without python: /bin/sh, or perl with `syscall`. */
export type Program = { readonly sh: string } | { readonly perl: string };

/** Who runs the sandbox. */
export type Identity = "root" | "user";

/**
 * Whether the attack comes through without any sandbox, which shows that it is one. "open" must; "closed" cannot, for
 * example by file permissions; "machine" depends on the kernel's build and settings and is not checked.
 */
export type Bare = "open" | "closed" | "machine";

/** How an attack's program ended. */
export interface Outcome {
  /** All that it printed, on both streams or on the terminal. */
  readonly output: string;
  /** Its end in words, for reports. */
  readonly how: string;
}

/** One attack. */
export interface Attack {
  readonly id: string;
  readonly tries: string;
  /** What is supposed to stop it. */
  readonly stoppedBy: string;
  readonly program: (scene: Scene) => Program;
  /** Evidence of an escape that only this attack leaves; what every attack could leave is looked for anyway. */
  readonly evidence?: (scene: Scene, outcome: Outcome) => string | undefined;
  /** "open" when absent. */
  readonly bare?: Bare | Readonly<Record<Identity, Bare>>;
  /** A policy with network gives this on purpose. */
  readonly opensWithNetwork?: true;
  /** True when it says nothing under a policy whose temporary directories are the host's. */
  readonly needsPrivateTmp?: true;
  /** The program ends the sandbox, so no word from it is no error. */
  readonly mayEndSandbox?: true;
  /** Longer than the usual limit. */
  readonly limitMs?: number;
}

/** Something ordinary that must go on working inside. */
export interface Usable {
  readonly id: string;
  readonly does: string;
  readonly program: (scene: Scene) => Program;
}

/** What is allowed, in the terms that every engine understands. */
export interface AttackPolicy {
  /** Shown in reports. */
  readonly name: string;
  readonly writableRoots: readonly string[];
  /** Names in each root that stay read-only, whether they exist or not. */
  readonly protectedNames: readonly string[];
  readonly deny: readonly string[];
  /** Absolute patterns with `*` and `**`. */
  readonly denyGlobs: readonly string[];
  readonly network: boolean;
}

/** A started program. */
export interface AttackProcess {
  /** Resolves when it has ended and its output is complete. */
  readonly ended: Promise<Outcome>;
  /** Ends it at once; `ended` resolves then. */
  kill(): void;
}

/** What goes with the arguments of a start. */
export interface StartRequest {
  readonly tty: boolean;
  readonly policy: AttackPolicy;
  readonly cwd: string;
}

/** Starts a program in the sandbox. Rejects when the sandbox could not be made. */
export type Start = (argv: readonly string[], request: StartRequest) => Promise<AttackProcess>;

/** ERROR: the attack said nothing that can be judged. It is a fault of the test, never taken for BLOCKED. */
export type Result = "BLOCKED" | "ESCAPED" | "SKIP" | "ERROR";

/** What came of one attack. */
export interface Verdict {
  readonly id: string;
  readonly result: Result;
  readonly detail: string;
}
