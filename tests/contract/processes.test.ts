// The contract of `Processes`: what starts and what does not, what a process inherits, how it ends. What flows
// through its pipes is in output.test.ts. Every environment works on this machine, so the tests can look at /proc.
import { chmodSync, mkdirSync, realpathSync, writeFileSync } from "node:fs";
import { constants } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Environment } from "../../src/environment.ts";
import {
  INHERIT_ALL_BUT_SECRETS,
  INHERIT_NOTHING,
  type Processes,
  type StartOptions,
} from "../../src/process/trait.ts";
import { exited, TERMINATED } from "../harness/exits.ts";
import { codeOf } from "../harness/code_of.ts";
import { environmentsAndJson, processTests } from "../harness/environments.ts";
import { groupMembers, until } from "../harness/proc.ts";
import { lineReader, readText } from "../harness/read_process.ts";
import { tempDir } from "../harness/temp.ts";

// Before the server starts: it inherits them.
process.env["X_TOKEN"] = "secret";
process.env["X_PLAIN"] = "plain";

const sh = (script: string) => ["/bin/sh", "-c", script];

/** Registers the tests for one implementation. */
export function processesContract(name: string, open: () => Promise<Environment>): void {
  let processes: Processes;
  const it = processTests(name, open, (opened) => processes = opened);
  const outputOf = async (options: StartOptions) => {
    const started = await processes.start(options);
    const [out, errors, { exitCode }] = await Promise.all([
      readText(started.stdout),
      readText(started.stderr),
      started.wait(),
    ]);
    assert.equal({ errors, exitCode }, { errors: "", exitCode: 0 });
    return out;
  };
  const exitCodeOf = async (argv: string[]) => (await (await processes.start({ argv })).wait()).exitCode;

  it("tells the exit code", async () => {
    for (const code of [0, 1, 7, 255]) assert.is(await exitCodeOf(sh(`exit ${code}`)), code);
  });

  it("tells 128 + n when a signal ends the process", async () => {
    for (const signal of ["KILL", "TERM", "INT"] as const) {
      assert.is(await exitCodeOf(sh(`kill -${signal} $$`)), 128 + constants.signals[`SIG${signal}`], signal);
    }
  });

  it("tells every waiter the same, also after the end", async () => {
    const started = await processes.start({ argv: sh("exit 3") });
    assert.equal(await Promise.all([started.wait(), started.wait()]), [exited(3), exited(3)]);
    assert.equal(await started.wait(), exited(3));
  });

  it("gives up a wait without touching the process", async () => {
    const started = await processes.start({ argv: sh("read line; exit 4"), pipeStdin: true });
    const waiting = started.wait({ signal: AbortSignal.timeout(1) });
    await waiting.then(() => assert.unreachable(), (error: Error) => assert.is(error.name, "TimeoutError"));
    await started.stdin.close();
    assert.equal(await started.wait(), exited(4));
  });

  it("interrupts the process group, which may handle it", async () => {
    // Short sleeps: a signal that meets the shell between fork and exec of a long one would be noticed at its end.
    const script = "trap 'echo caught; exit 3' INT; echo on; while :; do sleep 0.05; done";
    const started = await processes.start({ argv: sh(script) });
    const line = lineReader(started.stdout);
    assert.is(await line(), "on");
    await started.signal("interrupt");
    assert.is(await line(), "caught");
    assert.equal(await started.wait(), exited(3));
    await started.signal("interrupt"); // it is gone: nothing happens
    const plain = await processes.start({ argv: ["sleep", "1000"] });
    await plain.signal("interrupt");
    assert.equal(await plain.wait(), { ...exited(130), signal: "SIGINT" });
  });

  it("terminates the whole group at once", async () => {
    const script = "trap '' TERM INT HUP; sleep 1000 & echo $$; sleep 1000; exit 1";
    const started = await processes.start({ argv: sh(script) });
    const group = Number(await lineReader(started.stdout)());
    await until("the shell and two times sleep run", () => groupMembers(group).length === 3);
    assert.equal(await started.terminate(), { wasRunning: true, survivors: [] });
    assert.equal(await started.wait(), TERMINATED);
    await until("nothing of the group runs", () => groupMembers(group).length === 0);
    assert.equal(await started.terminate(), { wasRunning: false, survivors: [] });
  });

  it("terminates nothing when the process has exited", async () => {
    const started = await processes.start({ argv: ["true"] });
    assert.equal(await started.wait(), exited(0));
    assert.equal(await started.terminate(), { wasRunning: false, survivors: [] });
  });

  it("terminates the process when the signal is aborted", async () => {
    const controller = new AbortController();
    const started = await processes.start({ argv: ["sleep", "1000"], signal: controller.signal });
    controller.abort();
    assert.equal(await started.wait(), TERMINATED);
  });

  it("starts nothing when the signal was aborted before", async () => {
    const mark = join(tempDir(), "ran");
    const reason = new Error("enough");
    const starting = processes.start({ argv: ["touch", mark], signal: AbortSignal.abort(reason) });
    await starting.then(() => assert.unreachable(), (error: unknown) => assert.is(error, reason));
    assert.is(await exitCodeOf(["test", "-e", mark]), 1);
  });

  it("ends what still runs when the environment is closed for good", async () => {
    if (name !== "local") return; // a session outlives its connection
    const environment = await open();
    const started = await environment.processes.start({ argv: sh("sleep 1000 & echo $$; sleep 1000") });
    const group = Number(await lineReader(started.stdout)());
    await environment.close();
    await until("nothing of the group runs", () => groupMembers(group).length === 0);
  });

  it("runs it in the directory, given as path or URL", async () => {
    const folder = join(tempDir(), "spa ce ü%41");
    mkdirSync(folder);
    assert.is(await outputOf({ argv: ["pwd"], cwd: folder }), `${folder}\n`);
    assert.is(await outputOf({ argv: ["pwd"], cwd: pathToFileURL(folder) }), `${folder}\n`);
    assert.is(await outputOf({ argv: ["pwd", "-P"] }), `${realpathSync(process.cwd())}\n`);
  });

  it("gives it exactly the variables it was given", async () => {
    const env = { A: "1", EMPTY: "", "with space": "two\nlines", ÜNÏ: "çödé 🙂", X_TOKEN: "given" };
    const printed = await outputOf({ argv: ["/usr/bin/env", "-0"], env, envPolicy: INHERIT_NOTHING });
    const expected = Object.entries(env).map(([key, value]) => `${key}=${value}`);
    // And one of ours, by which everything that came of it is found again.
    const given = printed.split("\0").slice(0, -1).filter((pair) => !pair.startsWith("EXEC_SERVER_PROCESS="));
    assert.equal(given.sort(), expected.sort());
  });

  it("inherits all but secrets unless told otherwise", async () => {
    const argv = ["/usr/bin/env"];
    const byDefault = (await outputOf({ argv, env: { ADDED: "yes" } })).split("\n");
    assert.ok(byDefault.includes("X_PLAIN=plain"));
    assert.ok(byDefault.includes("ADDED=yes"));
    assert.not(byDefault.some((line) => line.startsWith("X_TOKEN")));
    const all = { ...INHERIT_ALL_BUT_SECRETS, ignoreDefaultExcludes: true, exclude: ["x_pl*"] };
    const told = (await outputOf({ argv, envPolicy: all })).split("\n");
    assert.ok(told.includes("X_TOKEN=secret"));
    assert.not(told.some((line) => line.startsWith("X_PLAIN")));
    const few = { ...INHERIT_ALL_BUT_SECRETS, set: { S: "1", T: "2" }, includeOnly: ["x_*", "T"] };
    const kept = (await outputOf({ argv, envPolicy: few })).trim().split("\n").sort();
    assert.equal(kept.filter((pair) => !pair.startsWith("EXEC_SERVER_PROCESS=")), ["T=2", "X_PLAIN=plain"]);
  });

  it("shows it another argv[0]", async () => {
    const argv = sh("tr '\\0' '|' < /proc/$$/cmdline; true");
    assert.match(await outputOf({ argv, arg0: "renamed" }), /^renamed\|-c\|/);
    assert.match(await outputOf({ argv }), /^\/bin\/sh\|-c\|/);
  });

  it("searches the program in the PATH that the process gets", async () => {
    const folder = tempDir();
    writeFileSync(join(folder, "only-here"), "#!/bin/sh\necho found $1\n", { mode: 0o755 });
    const start = { argv: ["only-here", "it"], envPolicy: INHERIT_NOTHING };
    assert.is(await outputOf({ ...start, env: { PATH: `/nowhere:${folder}` } }), "found it\n");
    assert.is(await outputOf({ ...start, argv: ["./only-here", "it"], cwd: folder }), "found it\n");
    assert.is(await codeOf(processes.start({ ...start, env: { PATH: "/nowhere" } })), "ENOENT");
  });

  it("runs a script without an interpreter line by the shell", async () => {
    const script = join(tempDir(), "script");
    writeFileSync(script, 'echo "$# $1 $2"\n', { mode: 0o755 });
    assert.is(await outputOf({ argv: [script, "a b", "c"] }), "2 a b c\n");
  });

  it("says why it cannot start a program", async () => {
    const folder = tempDir();
    const file = join(folder, "file");
    writeFileSync(file, "#!/bin/sh\n", { mode: 0o644 });
    const why = (options: Partial<StartOptions>) => codeOf(processes.start({ argv: ["true"], ...options }));
    assert.is(await why({ argv: ["/missing/program"] }), "ENOENT");
    assert.is(await why({ argv: ["no-such-program-anywhere"] }), "ENOENT");
    assert.is(await why({ cwd: join(folder, "missing") }), "ENOENT");
    assert.is(await why({ cwd: file }), "ENOTDIR");
    assert.is(await why({ argv: [file] }), "EACCES");
    assert.is(await why({ argv: [folder] }), "EACCES");
    assert.is(await why({ argv: [] }), "INVALID_PARAMS");
    assert.is.not(await why({ argv: [""] }), "it resolved");
    chmodSync(file, 0o755);
    assert.is(await why({ argv: [file] }), "it resolved");
  });

  it("refuses NUL characters", async () => {
    const evil: Partial<StartOptions>[] = [
      { argv: ["echo", "a\0b"] },
      { argv: ["ec\0ho"] },
      { arg0: "a\0b" },
      { env: { A: "a\0b" } },
      { env: { "A\0B": "a" } },
      { envPolicy: { ...INHERIT_NOTHING, set: { A: "\0" } } },
    ];
    for (const options of evil) {
      await processes.start({ argv: ["true"], ...options }).then(
        () => assert.unreachable(JSON.stringify(options)),
        (error: Error) => assert.match(error.message, /nul byte/),
      );
    }
  });

  it("refuses an id that is in use", async () => {
    const first = await processes.start({ argv: ["sleep", "1000"], id: "mine" });
    assert.is(first.id, "mine");
    assert.is(await codeOf(processes.start({ argv: ["true"], id: "mine" })), "INVALID_REQUEST");
    const both = [1, 2].map(() => codeOf(processes.start({ argv: ["true"], id: "two" })));
    assert.equal((await Promise.all(both)).sort(), ["INVALID_REQUEST", "it resolved"]);
    assert.is((await first.terminate()).wasRunning, true);
    assert.equal(await first.wait(), TERMINATED);
    assert.is(await codeOf(processes.start({ argv: ["/missing/program"], id: "failed" })), "ENOENT");
    assert.is(await codeOf(processes.start({ argv: ["true"], id: "failed" })), "it resolved");
  });
}

for (const [name, open] of environmentsAndJson) processesContract(name, open);

test.run();
