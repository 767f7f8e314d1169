/** Who belongs to which family: decided from one table of processes, without looking at anything else. */
import { isLiving, type ProcStat } from "../runtime/proc_stat.ts";

/** What is known of a family. */
export interface Claim {
  /** Its number in the marks. */
  readonly number: number;
  /** Pid of the leader; also the id of its session and its group. */
  readonly leader: number;
  readonly startTime: number;
  /** False: it began before there was a universe, and may have members outside of it. */
  readonly bounded: boolean;
  /** Members that were seen before: pid and start time. Once a member, always one. */
  readonly known: ReadonlyMap<number, number>;
}

/** What the decision is made from. */
export interface Scene {
  readonly processes: ReadonlyMap<number, ProcStat>;
  /** Our own pid. */
  readonly self: number;
  /** Ours, and no member of anything: the guard. */
  readonly outsiders: ReadonlySet<number>;
  /** Every real descendant of ours, when that can be known; a claim on anything else is void. */
  readonly universe: ReadonlySet<number> | undefined;
  /** Direct children that are waited for: no orphans. */
  readonly owned: { has(pid: number): boolean };
  /** Orphans that could have come from several families when they were seen first: pid and start time. */
  readonly nobodys: ReadonlyMap<number, number>;
  /** The numbers of the marks in its environment. */
  marksOf(one: ProcStat): readonly number[];
}

/** The answer of {@link membersOf}. */
export interface Belonging<T> {
  /** The living members of each family. */
  readonly members: ReadonlyMap<T, readonly ProcStat[]>;
  /** Living orphans of the universe that belong to nobody. */
  readonly strays: readonly ProcStat[];
}

/** Pids from here up to `self`, by parents; undefined when the line is broken or does not reach it. */
export function descendantsOf(self: number, processes: ReadonlyMap<number, ProcStat>): Set<number> {
  const inside = new Set<number>();
  const outside = new Set<number>([self]);
  for (const start of processes.keys()) {
    const line: number[] = [];
    let at = start;
    while (at !== self && !inside.has(at) && !outside.has(at)) {
      line.push(at);
      outside.add(at); // until shown otherwise; also ends a ring, which a table that is not of one moment may have
      at = processes.get(at)?.parent ?? 0;
    }
    if (at !== self && !inside.has(at)) continue;
    for (const pid of line) {
      outside.delete(pid);
      inside.add(pid);
    }
  }
  return inside;
}

/**
 * Finds the members of every family. `families` are all that have not been forgotten: whether an orphan can be told
 * from the orphans of others depends on them.
 *
 * A process is a member when it is the leader, is in the leader's session or group, carries the mark, was a member
 * before, or has a member as its parent. It may be one of several families: who changes a mark escapes from none.
 * A pid that is a session's or a group's id is not given to another process while that has members, so an id is void
 * only when its leader is there and has another start time.
 */
export function membersOf<T extends Claim>(families: readonly T[], scene: Scene): Belonging<T> {
  const { processes, universe } = scene;
  const byNumber = new Map(families.map((family) => [family.number, family]));
  const byLeader = new Map<number, T>();
  for (const family of families) {
    const other = byLeader.get(family.leader);
    if (!other || other.startTime <= family.startTime) byLeader.set(family.leader, family);
  }
  const known = new Map<number, T[]>();
  for (const family of families) {
    for (const [pid, startTime] of family.known) {
      if (processes.get(pid)?.startTime === startTime) known.set(pid, [...known.get(pid) ?? [], family]);
    }
  }
  const ownSession = processes.get(scene.self)?.session;
  const members = new Map<T, ProcStat[]>(families.map((family) => [family, []]));
  const strays: ProcStat[] = [];

  const ownClaims = (one: ProcStat): Set<T> => {
    const claims = new Set(known.get(one.pid));
    const led = byLeader.get(one.pid);
    if (led?.startTime === one.startTime) claims.add(led);
    // Whom we start calls setsid, and no way leads back into our session: a child of ours there is our own business.
    if (one.session === ownSession) return claims;
    const isStranger = universe !== undefined && !universe.has(one.pid);
    const claim = (family: T | undefined) => {
      if (family && !(isStranger && family.bounded)) claims.add(family);
    };
    for (const id of [one.session, one.group]) {
      const family = byLeader.get(id);
      if (!family || one.startTime < family.startTime) continue;
      const leader = processes.get(id);
      if (!leader || leader.startTime === family.startTime) claim(family);
    }
    if (families.some((family) => family.startTime <= one.startTime)) {
      for (const number of scene.marksOf(one)) claim(byNumber.get(number));
    }
    return claims;
  };

  const addOrphan = (one: ProcStat, claims: Set<T>) => {
    if (!universe?.has(one.pid) || one.session === ownSession || scene.owned.has(one.pid)) return;
    // A mark tells where it is from: a family that has not begun yet, or one that is forgotten.
    const marked = scene.marksOf(one).length > 0;
    const origins = marked || scene.nobodys.get(one.pid) === one.startTime
      ? []
      : families.filter((family) => family.startTime <= one.startTime);
    const [only] = origins;
    if (only && origins.length === 1) claims.add(only);
    else if (isLiving(one)) strays.push(one);
  };

  const nobody: ReadonlySet<T> = new Set();
  const decided = new Map<number, ReadonlySet<T>>([[scene.self, nobody]]);
  for (const pid of scene.outsiders) decided.set(pid, nobody);
  const decide = (start: ProcStat) => {
    const line: ProcStat[] = []; // from the process up: parents are decided before their children
    for (let at: ProcStat | undefined = start; at && !decided.has(at.pid); at = processes.get(at.parent)) {
      decided.set(at.pid, nobody); // ends a ring
      line.push(at);
    }
    for (const one of line.reverse()) {
      const claims = ownClaims(one);
      const isOrphan = one.parent === scene.self || !universe?.has(one.parent);
      if (claims.size === 0 && isOrphan) addOrphan(one, claims);
      for (const family of decided.get(one.parent) ?? []) claims.add(family);
      decided.set(one.pid, claims);
      if (isLiving(one)) { for (const family of claims) members.get(family)?.push(one); }
    }
  };
  for (const one of processes.values()) decide(one);
  return { members, strays };
}
