// Whether a sandbox can be had: the real answer, and every way in which it cannot.
import { chmodSync, copyFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { RpcCode } from "../../src/protocol/error.ts";
import { doctorFacts, type DoctorSources } from "../../src/sandbox/doctor.ts";
import { createProbe, type ProbeOptions, type ProbeResult } from "../../src/sandbox/probe.ts";
import type { Runner, RunResult } from "../../src/sandbox/run_once.ts";
import { cannotEnforce } from "../../src/sandbox/unavailable.ts";
import { tempDir } from "../harness/temp.ts";
import { planFrom, special } from "./policies.ts";
import { filterFor, requireBwrap } from "./run.ts";

const held = [
  "CapPrm:\t0000000000000000",
  "CapEff:\t0000000000000000",
  "CapBnd:\t0000000000000000",
  "NoNewPrivs:\t1",
  "Seccomp:\t2",
  "done",
  "",
].join("\n");
const ran: RunResult = { code: 0, stdout: held, stderr: "", executed: true, ready: true };
const failed: RunResult = { code: 1, stdout: "", stderr: "bwrap: words\n", executed: false, ready: false };

const probeWith = (options: Partial<ProbeOptions>) =>
  createProbe({
    filter: () => new Uint8Array(8),
    paths: [requireBwrap()],
    versionOf: () => Promise.resolve("0.8.0"),
    run: () => Promise.resolve(ran),
    platform: "linux",
    ...options,
  });

const reasonOf = (result: ProbeResult) => result.available ? "available" : result.reason;

test.before(() => void requireBwrap());

test("here a sandbox can be had, and it holds", async () => {
  const plan = await planFrom([special("root", "read")]);
  const result = await createProbe({ filter: () => filterFor(plan) })();
  assert.is(reasonOf(result), "available", JSON.stringify(result));
  if (result.available) {
    assert.is(result.bwrap, requireBwrap());
    assert.match(result.version, /^\d+\.\d+/);
  }
});

test("a filter that the kernel does not take is found out by a real run", async () => {
  const result = await createProbe({ filter: () => new Uint8Array(0) })();
  assert.is(reasonOf(result), "seccomp-refused");
});

test("no bwrap, an old one, one that others can replace, another system", async () => {
  const folder = tempDir();
  const copy = join(folder, "bwrap");
  copyFileSync(requireBwrap(), copy);
  chmodSync(copy, 0o777);
  assert.is(reasonOf(await probeWith({ paths: [] })()), "bwrap-missing");
  assert.is(reasonOf(await probeWith({ paths: [join(folder, "none")] })()), "bwrap-missing");
  assert.is(reasonOf(await probeWith({ paths: [copy] })()), "bwrap-untrusted");
  chmodSync(copy, 0o4755);
  assert.is(reasonOf(await probeWith({ paths: [copy] })()), "bwrap-untrusted");
  assert.is(reasonOf(await probeWith({ paths: [copy, requireBwrap()] })()), "available");
  assert.is(reasonOf(await probeWith({ versionOf: () => Promise.resolve("0.7.9") })()), "bwrap-too-old");
  assert.is(reasonOf(await probeWith({ versionOf: () => Promise.resolve("") })()), "bwrap-too-old");
  assert.is(reasonOf(await probeWith({ versionOf: () => Promise.resolve("1.0") })()), "available");
  assert.is(reasonOf(await probeWith({ platform: "win32" })()), "unsupported-platform");
});

test("what is refused is found by trying less, not by words", async () => {
  const cases: [string, RegExp | undefined][] = [
    ["userns-refused", /--unshare-user/],
    ["proc-mount-refused", /--proc/],
    ["network-namespace-refused", /--unshare-net/],
    ["seccomp-refused", /--seccomp/],
    ["not-held", undefined],
  ];
  for (const [reason, refuses] of cases) {
    const run: Runner = ({ options }) => {
      const text = new TextDecoder().decode(options);
      return Promise.resolve(text.includes("--clearenv") || refuses?.test(text) ? failed : ran);
    };
    const result = await probeWith({ run })();
    assert.is(reasonOf(result), reason);
    if (!result.available) assert.is(result.detail, "bwrap: words");
  }
});

test("a sandbox that was made and does not hold is none", async () => {
  for (
    const stdout of [
      held.replace("CapEff:\t0000", "CapEff:\t0001"),
      held.replace("NoNewPrivs:\t1", "NoNewPrivs:\t0"),
      held.replace("Seccomp:\t2", "Seccomp:\t0"),
      `writable /etc\n${held}`,
      `nested namespaces\n${held}`,
      held.replace("done", ""),
      "",
    ]
  ) {
    assert.is(reasonOf(await probeWith({ run: () => Promise.resolve({ ...ran, stdout }) })()), "not-held");
  }
});

test("a success is remembered, a failure for ten seconds", async () => {
  let now = 0;
  let runs = 0;
  let answer: RunResult = failed;
  const run: Runner = () => {
    runs++;
    return Promise.resolve(answer);
  };
  const probe = probeWith({ run, now: () => now });
  assert.is(reasonOf(await probe()), "userns-refused");
  assert.is(runs, 2);
  await probe();
  assert.is(runs, 2);
  now = 10_001;
  answer = ran;
  assert.is(reasonOf(await probe()), "available");
  now = 1e9;
  answer = failed;
  assert.is(reasonOf(await probe()), "available");
  assert.is(runs, 3);
});

test("the error names the reason and what to do", () => {
  const error = cannotEnforce("bwrap-missing", "not at /usr/bin/bwrap");
  assert.is(error.rpcCode, RpcCode.invalidRequest);
  assert.match(error.message, /^sandbox intent cannot be enforced on this executor: bwrap-missing \(not at/);
  assert.match(error.message, /hint: install bubblewrap/);
});

test("doctor: facts of this machine, and of another", async () => {
  const probe = await probeWith({})();
  const here = doctorFacts(probe);
  assert.ok(here.find((one) => one.name === "sandbox")?.ok);
  for (const one of here) assert.ok(one.ok || one.hint !== "", one.name);

  const files: Record<string, string> = {
    "/proc/sys/user/max_user_namespaces": "0",
    "/proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1",
    "/proc/sys/dev/tty/legacy_tiocsti": "0",
    "/proc/self/cgroup": "0::/mine",
    "/proc/self/mountinfo": "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw",
    "/sys/fs/cgroup/mine/cgroup.controllers": "cpu memory pids",
    "/proc/sys/kernel/seccomp/actions_avail": "kill_process errno allow",
  };
  const sources: DoctorSources = {
    read: (path) => files[path],
    writable: (path) => path === "/sys/fs/cgroup/mine",
    platform: "linux",
    uid: 1000,
  };
  const refused = await probeWith({ run: () => Promise.resolve(failed) })();
  const there = Object.fromEntries(doctorFacts(refused, sources).map((one) => [one.name, one]));
  assert.equal(Object.values(there).filter((one) => !one.ok).map((one) => one.name), [
    "sandbox",
    "user-namespaces",
  ]);
  assert.match(there["user-namespaces"]?.detail ?? "", /max_user_namespaces is 0; .*apparmor/);
  assert.is(there["cgroup"]?.detail, "/sys/fs/cgroup/mine");
  assert.equal(doctorFacts(refused, { ...sources, platform: "darwin" }).map((one) => one.name), ["sandbox"]);
});

test.run();
