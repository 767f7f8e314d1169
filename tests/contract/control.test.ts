// The contract of control: signals by name, graces, time limits, resource limits, and what a list tells.
import { pathToFileURL } from "node:url";
import { join } from "node:path";
import process from "node:process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Environment } from "../../src/environment.ts";
import type {
  Process,
  Processes,
  ResourceLimits,
  SignalName,
  StartOptions,
} from "../../src/process/trait.ts";
import { codeOf } from "../harness/code_of.ts";
import { environments, processTests } from "../harness/environments.ts";
import { exited, TERMINATED } from "../harness/exits.ts";
import { isRunning, until } from "../harness/proc.ts";
import { lineReader, readText } from "../harness/read_process.ts";
import { tempDir } from "../harness/temp.ts";

const MANY = 200;

/** Registers the tests for one implementation. */
export function controlContract(name: string, open: () => Promise<Environment>): void {
  let processes: Processes;
  const it = processTests(name, open, (opened) => processes = opened);
  const sh = (script: string, options: Partial<StartOptions> = {}): Promise<Process> =>
    processes.start({ argv: ["/bin/sh", "-c", script], ...options });
  /** Starts a script that prints process ids, one a line, and reads so many. */
  const startAndRead = async (count: number, script: string, options: Partial<StartOptions> = {}) => {
    const started = await sh(script, options);
    const line = lineReader(started.stdout);
    const pids: number[] = [];
    for (let read = 0; read < count; read++) pids.push(Number(await line()));
    return { started, pids };
  };
  const survivors = (pids: readonly number[]) => pids.filter(isRunning);

  it("sends signals by their names", async () => {
    const signals: SignalName[] = ["SIGHUP", "SIGTERM", "SIGUSR1", "SIGUSR2", "SIGQUIT", "SIGWINCH"];
    const traps = signals.map((signal) => `trap 'echo ${signal}' ${signal.slice(3)}`).join("; ");
    const started = await sh(`${traps}; echo on; while :; do sleep 0.02; done`);
    const line = lineReader(started.stdout);
    assert.is(await line(), "on");
    for (const signal of signals) {
      await started.signal(signal);
      assert.is(await line(), signal);
    }
    await started.signal("SIGKILL");
    assert.equal(await started.wait(), { ...exited(137), signal: "SIGKILL" });
    await started.signal("SIGKILL"); // it is gone: nothing happens
  });

  it("tells of every signal that ended a process", async () => {
    for (const tty of [false, true]) {
      for (const [signal, number] of [["SIGPOLL", 29], ["SIGPWR", 30], ["SIGSTKFLT", 16]] as const) {
        const started = await sh(`kill -${number} $$; sleep 1`, { tty });
        assert.equal(await started.wait(), { ...exited(128 + number), signal });
        const told = await sh("exec sleep 999", { tty });
        await told.signal(signal);
        assert.equal(await told.wait(), { ...exited(128 + number), signal }, `${signal}, sent`);
      }
      // Nothing tells Node and Deno of the others.
      if (process.env["EXEC_SERVER_FORM"] !== "compiled" || name === "local") continue;
      for (const number of [34, 64]) {
        const started = await sh(`kill -${number} $$; sleep 1`, { tty });
        assert.equal(await started.wait(), exited(128 + number), `real-time signal ${number}`);
      }
    }
  });

  it("signals what is left of the group when the leader has exited, and nothing else", async () => {
    const { started, pids } = await startAndRead(
      2,
      "sleep 999 & echo $!; setsid sleep 999 & echo $!; exit 4",
    );
    const stateOf = async () => (await processes.list()).find(({ id }) => id === started.id)?.state;
    while (await stateOf() === "running") await new Promise((wake) => setTimeout(wake, 10));
    assert.equal(survivors(pids), pids);
    await started.signal("SIGTERM");
    const [inGroup = 0, elsewhere = 0] = pids;
    await until("the background job has ended", () => !isRunning(inGroup));
    assert.ok(isRunning(elsewhere));
    await started.terminate();
    assert.equal(await started.wait(), exited(4));
    await started.signal("SIGTERM"); // nothing is left: nothing happens
  });

  it("stops and continues", async () => {
    const { started, pids } = await startAndRead(1, "echo $$; exec sleep 1000");
    await started.signal("SIGSTOP");
    assert.equal(survivors(pids), pids);
    await started.signal("SIGCONT");
    await started.signal("SIGTERM");
    assert.equal(await started.wait(), { ...exited(143), signal: "SIGTERM" });
  });

  it("terminates what has left the group, the session and its parent", async () => {
    const script = "setsid sleep 999 & echo $!; (sleep 999 & echo $!); env -i sleep 999 & echo $!; " +
      "setsid sh -c '(sleep 999 & echo $!)'; echo $$; sleep 999";
    const { started, pids } = await startAndRead(5, script);
    assert.equal(survivors(pids), pids);
    assert.equal(await started.terminate(), { wasRunning: true, survivors: [] });
    assert.equal(survivors(pids), []);
    assert.equal(await started.wait(), TERMINATED);
  });

  it(`terminates a tree of ${MANY}`, async () => {
    const script = `grow() { echo $$; i=0; while [ $i -lt ${MANY - 1} ]; do ` +
      `if [ $((i % 3)) = 0 ]; then setsid sleep 999 & else sleep 999 & fi; echo $!; i=$((i+1)); done; wait; }; grow`;
    const { started, pids } = await startAndRead(MANY, script);
    assert.is(new Set(pids).size, MANY);
    assert.equal(await started.terminate(), { wasRunning: true, survivors: [] });
    assert.equal(survivors(pids), []);
    assert.equal(await started.wait(), TERMINATED);
  });

  it("terminates what a leader has left behind, also after it was closed", async () => {
    const script = "sleep 999 > /dev/null 2>&1 & echo $!; exit 3";
    const { started, pids } = await startAndRead(1, script);
    assert.equal(await started.wait(), exited(3));
    assert.equal(survivors(pids), pids, "a background job outlives its leader");
    assert.equal(await started.terminate(), { wasRunning: false, survivors: [] });
    assert.equal(survivors(pids), []);
  });

  it("gives a grace: a program may end by itself", async () => {
    const started = await sh("trap 'echo bye; exit 4' TERM; echo on; while :; do sleep 0.02; done");
    const line = lineReader(started.stdout);
    assert.is(await line(), "on");
    const terminating = started.terminate({ graceMs: 60_000 });
    assert.is(await line(), "bye");
    assert.equal(await terminating, { wasRunning: true, survivors: [] });
    assert.equal(await started.wait(), { ...exited(4), terminated: true });
  });

  it("kills after the grace what ignores SIGTERM", async () => {
    const script = "trap '' TERM; sleep 999 & echo $!; echo $$; while :; do sleep 0.02; done";
    const { started, pids } = await startAndRead(2, script);
    assert.equal(await started.terminate({ graceMs: 100 }), { wasRunning: true, survivors: [] });
    assert.equal(survivors(pids), []);
    assert.equal(await started.wait(), TERMINATED);
  });

  it("ends a process whose time is over", async () => {
    const { started, pids } = await startAndRead(1, "setsid sleep 999 & echo $!; wait", { timeoutMs: 200 });
    assert.equal(await started.wait(), { ...TERMINATED, terminated: false, timedOut: true });
    await until("nothing is left", () => survivors(pids).length === 0);
    const polite = await sh("trap 'exit 9' TERM; while :; do sleep 0.02; done", {
      timeoutMs: 200,
      timeoutGraceMs: 60_000,
    });
    assert.equal(await polite.wait(), { ...exited(9), timedOut: true });
    const quick = await sh("exit 0", { timeoutMs: 60_000 });
    assert.equal(await quick.wait(), exited(0));
  });

  it("refuses times that are none", async () => {
    for (const timeoutMs of [0, -1, 1.5, 2 ** 31]) {
      assert.is(await codeOf(sh("true", { timeoutMs })), "INVALID_PARAMS", String(timeoutMs));
    }
    assert.is(await codeOf(sh("true", { timeoutMs: 1, timeoutGraceMs: -1 })), "INVALID_PARAMS");
    assert.is(await codeOf(sh("true", { timeoutGraceMs: 1 })), "INVALID_PARAMS", "a grace of nothing");
  });

  it("limits what a process may use", async () => {
    const outputOf = async (script: string, limits: ResourceLimits) => {
      const started = await sh(script, { limits });
      const [out] = await Promise.all([readText(started.stdout), readText(started.stderr), started.wait()]);
      return out.trim();
    };
    assert.is(await outputOf("ulimit -n", { openFiles: 50 }), "50");
    assert.is(await outputOf("ulimit -v", { addressSpaceBytes: 512 * 1024 * 1024 }), String(512 * 1024));
    assert.is(await outputOf("ulimit -d", { dataBytes: 256 * 1024 * 1024 }), String(256 * 1024));
    const folder = tempDir();
    const file = join(folder, "file");
    const size = await sh(`head -c 100000 /dev/zero > ${file}; stat -c %s ${file}`, {
      limits: { fileSizeBytes: 8192 },
    });
    assert.is((await readText(size.stdout)).trim(), "8192");
    const busy = await sh("exec sh -c 'while :; do :; done'", { limits: { cpuSeconds: 1 } });
    const { signal } = await busy.wait();
    assert.ok(signal === "SIGXCPU" || signal === "SIGKILL", signal);
  });

  it("limits a process in a terminal too, and leaves its environment and argv[0] alone", async () => {
    const started = await processes.start({
      argv: ["/bin/sh", "-c", "ulimit -n; tr '\\0' ' ' < /proc/$$/cmdline"],
      arg0: "renamed",
      tty: true,
      limits: { openFiles: 77 },
    });
    assert.match(await readText(started.stdout), /^77\r\nrenamed -c /);
  });

  it("refuses a limit that cannot be enforced, and starts nothing", async () => {
    const mark = join(tempDir(), "ran");
    const asRoot = process.getuid?.() === 0;
    const code = await codeOf(processes.start({ argv: ["touch", mark], limits: { cpuSeconds: 0 } }));
    assert.is(code, "INVALID_PARAMS");
    const misspelt = { cpuSeconds: 10, rssBytes: 5 };
    assert.is(await codeOf(processes.start({ argv: ["touch", mark], limits: misspelt })), "INVALID_PARAMS");
    if (asRoot && name === "local") {
      assert.is(
        await codeOf(processes.start({ argv: ["touch", mark], limits: { processes: 10 } })),
        "UNSUPPORTED",
      );
    }
    const looked = await processes.start({ argv: ["test", "-e", mark] });
    assert.is((await looked.wait()).exitCode, 1);
  });

  it("lists what runs and what it uses", async () => {
    const folder = tempDir();
    const script = "printf 12345; i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; sleep 1000 & echo; wait";
    const started = await sh(script, { cwd: pathToFileURL(folder) });
    assert.is(await lineReader(started.stdout)(), "12345");
    const one = (await processes.list()).find(({ id }) => id === started.id);
    assert.ok(one);
    const { usage, ...rest } = one;
    assert.equal({ ...rest, pid: 0, startedAtMs: 0 }, {
      id: started.id,
      argv: ["/bin/sh", "-c", script],
      cwd: folder,
      tty: false,
      state: "running",
      pid: 0,
      exit: undefined,
      startedAtMs: 0,
      outputBytes: 6,
    });
    assert.ok(Math.abs(one.startedAtMs - Date.now()) < 60_000);
    assert.is(usage?.processes, 2);
    assert.ok(usage && usage.cpuTimeMs > 0 && usage.memoryBytes > 100_000, JSON.stringify(usage));
    await started.terminate();
    assert.equal(await started.wait(), TERMINATED);
    if (name === "local") return; // there a closed process is forgotten
    const after = (await processes.list()).find(({ id }) => id === started.id);
    assert.equal([after?.state, after?.exit, after?.usage], ["closed", TERMINATED, undefined]);
  });
}

for (const [name, open] of environments) controlContract(name, open);

test.run();
