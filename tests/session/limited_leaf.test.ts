// The cgroup of a process with limits is removed once nothing is in it, also when a background job outlives its leader.
// It takes a cgroup with the pids controller, which few machines give to tests: here its files are ordinary ones.
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { Environment } from "../../mod.ts";
import type { OwnCgroup } from "../../src/process/cgroup.ts";
import { useCgroup } from "../../src/process/family_look.ts";
import { groupMembers, isRunning } from "../harness/proc.ts";
import { tempDir } from "../harness/temp.ts";

const leaf = join(tempDir(), "limited-1");
const procsFile = join(leaf, "cgroup.procs");

/** The one that writes its pid there, and what it has started. */
const inLeaf = () => existsSync(procsFile) ? groupMembers(Number(readFileSync(procsFile, "utf8"))) : [];

const cgroup: OwnCgroup = {
  path: leaf,
  origin: leaf,
  entered: Promise.resolve(true),
  canKill: false,
  processes: inLeaf,
  limited() {
    mkdirSync(leaf);
    writeFileSync(procsFile, "");
    return {
      procsFile,
      oomKills: () => 0,
      remove() {
        if (inLeaf().length === 0) rmSync(leaf, { recursive: true }); // as rmdir(2) does with a cgroup
      },
    };
  },
  giveTo: () => Promise.resolve(),
  adoptGuard: () => Promise.resolve(),
  still: () => Promise.resolve(undefined),
  kill: () => Promise.resolve(false),
  leave: () => Promise.resolve(),
};

test("a leaf lives as long as what is in it", async () => {
  useCgroup(cgroup);
  await cgroup.entered;
  await using here = Environment.local();
  const script = "sleep 999 >/dev/null 2>&1 & exit 3";
  const started = await here.processes.start({ argv: ["sh", "-c", script], limits: { processes: 9 } });
  assert.is((await started.wait()).exitCode, 3);
  const [pid = 0] = inLeaf();
  assert.ok(isRunning(pid) && existsSync(leaf));
  assert.equal(await started.terminate(), { wasRunning: false, survivors: [] });
  assert.not(isRunning(pid));
  assert.not(existsSync(leaf));
});

test.run();
