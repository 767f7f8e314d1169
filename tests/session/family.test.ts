// Who belongs to a started process, and that all of it is killed: by direct import, under Node, without a server.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { createFamily, endFamilies, type Family, usageOf } from "../../src/process/family.ts";
import { findCgroup } from "../../src/process/cgroup_tree.ts";
import { endAll, type EndSignal, type Targets } from "../../src/process/family_end.ts";
import { type Claim, descendantsOf, membersOf, type Scene } from "../../src/process/family_members.ts";
import { isLiving, listPids, parseStat, type ProcStat, readEnviron } from "../../src/runtime/proc_stat.ts";
import { isRunning, until } from "../harness/proc.ts";

const SERVER = 100;

interface Grown {
  readonly family: Family;
  readonly child: ChildProcess;
  readonly leader: number;
  /** What the script printed: pids. */
  readonly pids: readonly number[];
}

/** Starts a script as the head of a family and waits for `count` pids that it prints, one a line. */
async function grow(script: string, count: number): Promise<Grown> {
  const family = createFamily();
  const child = spawn("/bin/bash", ["-c", script], {
    detached: true,
    env: { ...process.env, ...family.environment },
    stdio: ["ignore", "pipe", "ignore"],
  });
  const leader = child.pid ?? 0;
  family.begin(leader);
  child.once("exit", () => family.leaderEnded());
  let text = "";
  child.stdout.setEncoding("utf8").on("data", (part: string) => text += part);
  const lines = () => text.split("\n").slice(0, -1).map(Number);
  await until(`${count} pids`, () => lines().length >= count);
  return { family, child, leader, pids: lines() };
}

const TREES: readonly [name: string, script: string, count: number][] = [
  ["a child in a session of its own", "setsid sleep 999 & echo $!; sleep 999", 1],
  ["an orphan", "(sleep 999 & echo $!); sleep 999", 1],
  ["a child without an environment", "env -i sleep 999 & echo $!; sleep 999", 1],
  ["a child that is stopped", "sleep 999 & echo $!; kill -STOP $!; sleep 999", 1],
  ["a job in a group of its own", "set -m; sleep 999 & echo $!; sleep 999", 1],
  ["an orphan in a session of its own", "(setsid sh -c 'echo $$; exec sleep 999' &); sleep 999", 1],
  [
    "200 processes, three levels deep, a third of them in sessions of their own",
    "for i in $(seq 50); do bash -c 'sleep 999 & echo $!; setsid sleep 999 & echo $!; " +
    'bash -c "echo \\$\\$; exec sleep 999" & echo $$; wait\' & done; wait',
    200,
  ],
];

for (const [name, script, count] of TREES) {
  test(`is killed with its parent: ${name}`, async () => {
    const { family, child, leader, pids } = await grow(script, count);
    const exited = once(child, "exit");
    assert.equal(pids.filter((pid) => !isRunning(pid)), [], "all run");
    assert.equal(await endFamilies([family]), []);
    assert.equal([leader, ...pids].filter(isRunning), []);
    assert.not(family.mayHaveMembers());
    await exited;
  });
}

test("what outlives its leader is killed with the family", async () => {
  const { family, child, pids } = await grow(
    "exec 2>&1; setsid sleep 999 > /dev/null & echo $!; sleep 999 > /dev/null & echo $!; set -m; sleep 999 > /dev/null & echo $!",
    3,
  );
  if (child.exitCode === null) await once(child, "exit");
  assert.equal(pids.filter((pid) => !isRunning(pid)), [], "all run");
  await new Promise((wake) => setTimeout(wake, 1_300)); // a look for families that left nothing comes after a second
  assert.ok(family.mayHaveMembers());
  assert.equal(await endFamilies([family]), []);
  assert.equal(pids.filter(isRunning), []);
});

test("a family that left nothing is forgotten, without being ended", async () => {
  const { family, child } = await grow("echo 1", 1);
  if (child.exitCode === null) await once(child, "exit");
  await until("it is forgotten", () => !family.mayHaveMembers());
});

test("a family takes itself out of the set it was made for", async () => {
  const among = new Set<Family>();
  const family = createFamily(among);
  assert.is(among.size, 0);
  const child = spawn("sleep", ["999"], { detached: true, stdio: "ignore" });
  family.begin(child.pid ?? 0);
  assert.ok(among.has(family));
  await endFamilies([family]);
  assert.is(among.size, 0);
});

test("each of two families is ended alone", async () => {
  const one = await grow("setsid sleep 999 & echo $!; sleep 999", 1);
  const other = await grow("setsid sleep 999 & echo $!; sleep 999", 1);
  await endFamilies([one.family]);
  assert.equal([one.leader, ...one.pids].filter(isRunning), []);
  assert.equal([other.leader, ...other.pids].filter((pid) => !isRunning(pid)), []);
  await endFamilies([other.family]);
  assert.equal([other.leader, ...other.pids].filter(isRunning), []);
});

test("a grace ends with the last member, long before it is over", async () => {
  const script =
    "trap 'exit 0' TERM; setsid sleep 999 & sleep 0.2; kill -STOP $!; echo $!; while :; do sleep 0.01; done";
  const { family, pids, leader } = await grow(script, 1);
  const began = performance.now();
  let killed = false;
  assert.equal(await endFamilies([family], { graceMs: 10_000, beforeKill: () => killed = true }), []);
  assert.ok(performance.now() - began < 5_000);
  assert.not(killed);
  assert.equal([leader, ...pids].filter(isRunning), []);
});

test("who ignores SIGTERM is killed after the grace", async () => {
  const { family, pids, leader } = await grow("trap '' TERM; echo $$; sleep 999", 1);
  const began = performance.now();
  let killed = 0;
  assert.equal(
    await endFamilies([family], { graceMs: 300, beforeKill: () => killed = performance.now() - began }),
    [],
  );
  assert.ok(killed >= 299 && performance.now() - began < 1_500, String(killed));
  assert.equal([leader, ...pids].filter(isRunning), []);
});

test("twenty that fork without end, in sessions of their own, are killed", async () => {
  const fork = "while [ $SECONDS -lt 10 ]; do sleep 0.2 & setsid sleep 0.2 & sleep 0.02; done";
  const script = `for i in $(seq 20); do setsid bash -c '${fork}' & done; sleep 1; echo $$; sleep 999`;
  const { family } = await grow(script, 1);
  const mark = Object.values(family.environment).join();
  const left = () => listPids().filter((pid) => readEnviron(pid).includes(mark));
  assert.ok(left().length > 50, String(left().length));
  assert.equal(await endFamilies([family]), []);
  assert.equal(left(), []);
});

test("what it uses is told", async () => {
  const { family } = await grow(
    "sleep 999 & echo $!; i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; echo 1; wait",
    2,
  );
  const usage = usageOf([family]).get(family);
  assert.is(usage?.processes, 2);
  assert.ok((usage?.cpuTimeMs ?? 0) >= 50, String(usage?.cpuTimeMs));
  assert.ok((usage?.memoryBytes ?? 0) > 1_000_000 && (usage?.memoryBytes ?? 0) < 50_000_000);
  await endFamilies([family]);
});

// From here on with tables that are made up.

function stat(
  pid: number,
  parent: number,
  session: number,
  startTime: number,
  more: Partial<ProcStat> = {},
): ProcStat {
  const rest = { state: "S", group: session, cpuTicks: 0, foreground: -1, threads: 1, residentPages: 1 };
  return { ...rest, pid, parent, session, startTime, ...more };
}

const server = stat(SERVER, 1, SERVER, 10);

function scene(processes: readonly ProcStat[], more: Partial<Scene> = {}): Scene {
  return {
    processes: new Map([server, ...processes].map((one) => [one.pid, one])),
    self: SERVER,
    outsiders: new Set(),
    universe: undefined,
    owned: new Set(),
    nobodys: new Map(),
    marksOf: () => [],
    ...more,
  };
}

function claim(number: number, leader: number, startTime: number, known: [number, number][] = []): Claim {
  return { number, leader, startTime, bounded: true, known: new Map(known) };
}

function pidsOf(family: Claim, where: Scene, families: readonly Claim[] = [family]): number[] {
  return (membersOf(families, where).members.get(family) ?? []).map(({ pid }) => pid).sort();
}

const withUniverse = (processes: readonly ProcStat[], more: Partial<Scene> = {}) => {
  const plain = scene(processes, more);
  return { ...plain, universe: descendantsOf(SERVER, plain.processes) };
};

test("members: leader, session, group, mark, child of a member, member before", () => {
  const where = scene([
    stat(200, SERVER, 200, 50),
    stat(201, 1, 200, 51),
    stat(202, 1, 999, 52, { group: 200 }),
    stat(203, 1, 203, 53),
    stat(204, 203, 204, 54),
    stat(205, 1, 205, 55),
    stat(206, 1, 206, 56),
  ], { marksOf: ({ pid }) => pid === 203 ? [1] : [] });
  assert.equal(pidsOf(claim(1, 200, 50, [[205, 55], [206, 1]]), where), [200, 201, 202, 203, 204, 205]);
});

test("a stranger whose pid was the leader's once is no member, nor is its session", () => {
  const where = scene([stat(200, 1, 200, 90), stat(201, 200, 200, 91)]);
  assert.equal(pidsOf(claim(1, 200, 50), where), []);
});

test("of two families whose leaders had one pid the later one has the session", () => {
  const [old, young] = [claim(1, 200, 50), claim(2, 200, 70)];
  const where = scene([stat(201, 1, 200, 75)]);
  assert.equal(pidsOf(old, where, [old, young]), []);
  assert.equal(pidsOf(young, where, [old, young]), [201]);
});

test("a session is void for who does not descend from us, and for who is older", () => {
  assert.equal(pidsOf(claim(1, 200, 50), withUniverse([stat(201, 1, 200, 60)])), []);
  assert.equal(pidsOf(claim(1, 200, 50), scene([stat(201, 1, 200, 40)])), []);
});

test("a family that began before there was a universe may have members outside of it", () => {
  const family = { ...claim(1, 200, 50), bounded: false };
  assert.equal(pidsOf(family, withUniverse([stat(201, 1, 200, 60)])), [201]);
});

test("we, the guard and helpers in our session are no members, whatever they carry", () => {
  const where = withUniverse([
    stat(200, SERVER, 200, 50),
    stat(300, SERVER, 300, 60),
    stat(301, 300, 300, 60),
    stat(400, SERVER, SERVER, 60),
  ], { outsiders: new Set([300]), marksOf: () => [1] });
  assert.equal(pidsOf(claim(1, 200, 50), where), [200, 301]);
});

test("zombies do not count, but a process whose main thread has ended does", () => {
  const where = scene([
    stat(200, SERVER, 200, 50, { state: "Z" }),
    stat(201, 1, 200, 51, { state: "Z", threads: 2 }),
  ]);
  assert.equal(pidsOf(claim(1, 200, 50), where), [201]);
});

test("an orphan without a trace is of the only family that it can be from, with its children", () => {
  const [early, late] = [claim(1, 200, 50), claim(2, 210, 70)];
  const where = withUniverse([
    stat(300, SERVER, 300, 60),
    stat(301, 300, 301, 80),
    stat(310, SERVER, 310, 75),
  ]);
  assert.equal(pidsOf(early, where, [early, late]), [300, 301]);
  assert.equal(pidsOf(late, where, [early, late]), []);
  assert.equal(membersOf([early, late], where).strays.map(({ pid }) => pid), [310]);
  const later = { ...where, nobodys: new Map([[310, 75]]) };
  assert.equal(pidsOf(early, later), [300, 301], "who was nobody's stays so when a family is forgotten");
});

test("a child that is waited for, and one of a family that has not begun, are no orphans", () => {
  const processes = [stat(200, SERVER, 200, 50), stat(300, SERVER, 300, 60), stat(301, SERVER, 301, 60)];
  const where = withUniverse(processes, {
    owned: new Set([300]),
    marksOf: ({ pid }) => pid === 301 ? [2] : [],
  });
  assert.equal(pidsOf(claim(1, 200, 50), where), [200]);
});

test("a mark of another family does not lead out of one", () => {
  const [one, other] = [claim(1, 200, 50), claim(2, 210, 50)];
  const where = scene([stat(200, SERVER, 200, 50), stat(201, 200, 201, 55)], {
    marksOf: ({ pid }) => pid === 201 ? [2] : [],
  });
  assert.equal(pidsOf(one, where, [one, other]), [200, 201]);
});

test("a ring of parents and a missing parent do no harm", () => {
  const where = withUniverse([stat(300, 301, 300, 60), stat(301, 300, 300, 60), stat(302, 555, 302, 60)]);
  assert.equal(pidsOf(claim(1, 200, 50), where), []);
});

test("a name with brackets and spaces does not confuse the fields", () => {
  const line = "7 (a) S 1 (b) R 5 6 8 0 -1 4194560 0 0 0 0 11 12 13 14 20 0 3 0 777 1000 25 1844674407";
  assert.equal(
    parseStat(7, line),
    stat(7, 5, 8, 777, { state: "R", group: 6, cpuTicks: 50, threads: 3, residentPages: 25 }),
  );
});

/** Targets that are made up; `kills` says what a signal does to the processes. */
function madeUp(processes: ProcStat[], signal: Targets["signal"]): Targets & { log: [EndSignal, number][] } {
  const log: [EndSignal, number][] = [];
  return {
    log,
    signalGroups: () => [],
    look: () => Promise.resolve(processes.filter(isLiving)),
    signal(one, name) {
      log.push([name, one.pid]);
      return signal(one, name);
    },
    exists: (one) => processes.includes(one),
    isRunning: (one) => processes.includes(one),
    groupsLeft: () => [],
    turnover: () => 0,
    still: () => Promise.resolve(undefined),
  };
}

test("who may not be killed is reported at once, and the others are killed", async () => {
  const processes = [stat(201, 1, 200, 51), stat(202, 1, 200, 51)];
  const targets = madeUp(processes, (one, name) => {
    if (one.pid === 201) return "refused";
    if (name === "SIGKILL") processes.splice(processes.indexOf(one), 1);
    return "sent";
  });
  const began = performance.now();
  assert.equal(await endAll(targets, { graceMs: 0 }), [201]);
  assert.ok(performance.now() - began < 500);
});

test("who hangs in the kernel is reported after two seconds", async () => {
  const targets = madeUp([stat(201, 1, 200, 51)], () => "sent");
  const began = performance.now();
  assert.equal(await endAll(targets, { graceMs: 0 }), [201]);
  const tookMs = performance.now() - began;
  assert.ok(tookMs >= 1_900 && tookMs < 3_000, String(tookMs));
});

test("who forks as fast as it is killed is stopped first", async () => {
  let last = 201;
  const processes = [stat(last, 1, 200, 51)];
  const stopped = new Set<number>();
  const targets = madeUp(processes, (one, name) => {
    const place = processes.indexOf(one);
    if (place < 0) return "gone";
    if (name === "SIGSTOP") stopped.add(one.pid);
    if (name === "SIGKILL") {
      processes.splice(place, 1);
      if (!stopped.has(one.pid)) processes.push(stat(++last, 1, 200, 51), stat(++last, 1, 200, 51));
    }
    return "sent";
  });
  assert.equal(await endAll(targets, { graceMs: 0 }), []);
  assert.ok(stopped.size > 0);
});

test("a look that finds nothing is not believed while orphans come and go", async () => {
  const processes: ProcStat[] = [];
  let count = 0;
  let looks = 0;
  const targets = madeUp(processes, (one) => {
    processes.splice(processes.indexOf(one), 1);
    return "sent";
  });
  const look = () => {
    if (++looks === 2) processes.push(stat(300, 1, 300, 60));
    return targets.look();
  };
  assert.equal(
    await endAll({ ...targets, look, turnover: () => looks < 2 ? count++ : count }, { graceMs: 0 }),
    [],
  );
  assert.equal(targets.log, [["SIGKILL", 300]]);
});

test("the own cgroup is found where it is mounted", () => {
  const mount = (root: string, at: string, type = "cgroup2") =>
    `41 31 0:38 ${root} ${at} rw,relatime shared:4 - ${type} none rw`;
  const v1 = "30 31 0:30 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids";
  assert.is(
    findCgroup(`${v1}\n${mount("/", "/sys/fs/cgroup")}`, "8:pids:/x\n0::/a/b\n"),
    "/sys/fs/cgroup/a/b",
  );
  assert.is(findCgroup(mount("/a", "/m"), "0::/a/b"), "/m/b");
  assert.is(findCgroup(mount("/", "/m\\040n"), "0::/"), "/m n");
  assert.is(findCgroup(mount("/x", "/m"), "0::/a"), undefined);
  assert.is(findCgroup(mount("/", "/m"), "0::/../b"), undefined);
  assert.is(findCgroup(v1, "8:pids:/x"), undefined);
});

test.run();
