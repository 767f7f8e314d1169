// The cgroups that killed servers leave: what a server that starts later removes of them.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, rmdirSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { findCgroup } from "../../src/process/cgroup_tree.ts";
import { withServer } from "../harness/server.ts";

const origin = findCgroup(
  readFileSync("/proc/self/mountinfo", "utf8"),
  readFileSync("/proc/self/cgroup", "utf8"),
);
const HOUR_SECONDS = 3_600;

/** A cgroup as that of a server whose pid is in use here: as PID 1 of a container had it. False where none can be made. */
function make(path: string, ageSeconds: number): boolean {
  try {
    for (const folder of [path, join(path, "main")]) mkdirSync(folder);
    const then = Date.now() / 1000 - ageSeconds;
    utimesSync(path, then, then);
    return true;
  } catch {
    return false;
  }
}

function remove(path: string): void {
  for (const folder of [join(path, "main"), path]) if (existsSync(folder)) rmdirSync(folder);
}

test("an empty one goes when it is old, whoever has its number; a new one and one in use stay", async () => {
  const name = (what: string) => join(origin ?? "/none", `exec-server-1-${what}-test`);
  const [old, fresh, used] = [name("old"), name("fresh"), name("used")];
  const sleeper = spawn("sleep", ["1000"], { stdio: "ignore" });
  try {
    if (!make(old, HOUR_SECONDS) || !make(fresh, 0) || !make(used, HOUR_SECONDS)) return; // no cgroup can be made here
    writeFileSync(join(used, "main", "cgroup.procs"), String(sleeper.pid));
    await withServer([], () => {
      assert.equal([old, fresh, used].map(existsSync), [false, true, true]);
      return Promise.resolve();
    });
  } finally {
    sleeper.kill("SIGKILL");
    await once(sleeper, "exit");
    for (const path of [old, fresh, used]) remove(path);
  }
});

test.run();
