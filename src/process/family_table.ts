/** The families of this program that are not forgotten, and who belongs to them. */
import { look, nobodys } from "./family_look.ts";
import { type Belonging, type Claim, membersOf, type Scene } from "./family_members.ts";
import { tellGuard } from "./guard.ts";
import { send } from "../runtime/signal.ts";

/** A family that has begun. */
export interface Begun extends Claim {
  known: ReadonlyMap<number, number>;
  /** The leader has been reaped: its pid may be another process's soon. */
  leaderEnded: boolean;
  /** The leader is a sandbox: the group of the program inside, while there is one. */
  readonly program?: (() => number | undefined) | undefined;
  /** Called once it is forgotten. */
  readonly onForget: () => void;
}

/** Looks for families that left nothing come no closer than this, in ms, and cost at most 1 / SHARE of the time. */
const SWEEP_MS = 1_000;
const SWEEP_SHARE = 50;

const begun = new Set<Begun>();
let sweepTimer: ReturnType<typeof setTimeout> | undefined;
let sweepPauseMs = SWEEP_MS;

/** All that have begun and are not forgotten. */
export function allBegun(): readonly Begun[] {
  return [...begun];
}

/** Enters a family. */
export function enter(family: Begun): void {
  begun.add(family);
  tellGuard("+", family);
}

/** Forgets a family. */
export function drop(family: Begun): void {
  if (!begun.delete(family)) return;
  tellGuard("-", family);
  family.onForget();
}

/** Decides who belongs to whom, and remembers it. */
export function belongingIn(scene: Scene): Belonging<Begun> {
  const belonging = membersOf(allBegun(), scene);
  for (const [family, members] of belonging.members) {
    family.known = new Map(members.map(({ pid, startTime }) => [pid, startTime]));
  }
  for (const { pid, startTime } of belonging.strays) nobodys.set(pid, startTime);
  return belonging;
}

/** A leader has ended: looks soon whether anything of its family is left. One look serves all that end meanwhile. */
export function sweepSoon(): void {
  if (sweepTimer !== undefined) return;
  sweepTimer = setTimeout(() => void sweep(), sweepPauseMs);
  sweepTimer.unref();
}

async function sweep(): Promise<void> {
  const ended = allBegun().filter(({ leaderEnded }) => leaderEnded);
  const began = performance.now();
  try {
    const scene = ended.length > 0 ? await look() : undefined;
    const members = scene && belongingIn(scene).members;
    for (const family of ended) {
      const isEmpty = members ? members.get(family)?.length === 0 : send(-family.leader, 0) === "gone";
      if (isEmpty) drop(family);
    }
  } finally {
    sweepPauseMs = Math.max(SWEEP_MS, SWEEP_SHARE * (performance.now() - began));
    sweepTimer = undefined;
  }
}
