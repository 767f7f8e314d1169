// `run --detach`, `attach`, `logs`, `ps`, `kill`, and a `run` whose connection is cut: a session outlives them all.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { startProxy } from "../faults/proxy.ts";
import { type CliEnd, runCli, startCli } from "../harness/cli.ts";
import { groupMembers, until } from "../harness/proc.ts";
import { startServer, type TestServer } from "../harness/server.ts";
import { tempDir } from "../harness/temp.ts";

let server: TestServer;

test.before(async () => {
  server = await startServer();
});
test.after(async () => {
  await server.stop();
});

/** Starts a line of shell and leaves it running. */
async function detached(script: string): Promise<{ session: string; process: string }> {
  const end = await runCli(["run", "--url", server.url, "--detach", "--", "/bin/sh", "-c", script]);
  assert.is(end.code, 0, end.stderr);
  const [session = "", process = ""] = end.stdout.trim().split(" ");
  assert.match(session, /^[0-9a-f-]{36}$/);
  assert.is(end.stdout, `${session} ${process}\n`);
  return { session, process };
}

function on(session: string, command: string, ...flags: string[]): Promise<CliEnd> {
  return runCli([command, "--url", server.url, "--session", session, ...flags]);
}

test("attach goes on where run --detach left: all output, the exit code", async () => {
  const go = join(tempDir(), "go");
  const { session, process } = await detached(
    `echo before; until [ -e ${go} ]; do sleep 0.05; done; echo after >&2; exit 4`,
  );
  const listed: unknown = JSON.parse((await on(session, "ps", "--json")).stdout);
  assert.ok(Array.isArray(listed) && listed.length === 1);
  assert.match(JSON.stringify(listed), new RegExp(`"id":"${process}".*"state":"running"`));
  const attached = startCli(["attach", "--url", server.url, "--session", session, "--process", process]);
  assert.is(await attached.firstLine(), "before");
  writeFileSync(go, "");
  const end = await attached.ended;
  assert.equal([end.code, end.stdout, end.stderr], [4, "before\n", "after\n"]);
});

test("logs prints what is kept and leaves it for attach", async () => {
  const { session } = await detached("seq 1 1000; exit 3");
  const expected = Array.from({ length: 1000 }, (_, index) => `${index + 1}\n`).join("");
  for (let listed = ""; !listed.includes("\tclosed 3\t");) {
    const ps = await on(session, "ps");
    assert.is(ps.code, 0, ps.stderr); // else a broken `ps` would be asked for ever
    listed = ps.stdout;
  }
  assert.is((await on(session, "logs")).stdout, expected);
  assert.is((await on(session, "logs")).stdout, expected);
  const end = await on(session, "attach");
  assert.equal([end.code, end.stdout], [3, expected]);
});

test("kill ends the whole group and says whether anything ran", async () => {
  const { session } = await detached("sleep 1000 & exec sleep 1000");
  const [, pid = ""] = (await on(session, "ps")).stdout.split("\t");
  await until("both run", () => groupMembers(Number(pid)).length === 2);
  assert.is((await on(session, "kill")).code, 0);
  assert.equal(groupMembers(Number(pid)), []);
  assert.is((await on(session, "kill", "--all")).code, 1);
});

test("ps, logs and kill leave a session alone that somebody is attached to; --force takes it", async () => {
  const { session } = await detached("echo here; exec sleep 1000");
  const attached = startCli(["attach", "--url", server.url, "--session", session]);
  assert.is(await attached.firstLine(), "here");
  for (const command of ["ps", "logs", "kill"]) {
    const refused = await on(session, command);
    assert.is(refused.code, 1);
    assert.match(refused.stderr, /already attached to another connection; --force takes it over/);
  }
  assert.is((await on(session, "kill", "--force")).code, 0);
  const loser = await attached.ended;
  assert.is(loser.code, 1);
  assert.match(loser.stderr, /resumed by another connection/);
});

test("what is wrong with a session is said", async () => {
  const unknown = await on("3f8f9f57-3a9d-4c4c-9f0b-0e3ad6a0a7ce", "attach");
  assert.equal([unknown.code, unknown.stdout], [1, ""]);
  assert.match(unknown.stderr, /unknown session id/);
  const wrong: [string[], RegExp][] = [
    [["attach", "--url", server.url], /--session ID/],
    [["ps", "--session", "x"], /--url/],
    [["run", "--detach", "--", "true"], /--url/],
  ];
  for (const [args, text] of wrong) {
    const { code, stderr } = await runCli(args);
    assert.is(code, 2);
    assert.match(stderr, text);
  }
});

test("run survives a cut, and tells of it only when asked", async () => {
  for (const verbose of [false, true]) {
    const proxy = await startProxy(server.url);
    try {
      const go = join(tempDir(), "go");
      const script = `echo before; until [ -e ${go} ]; do sleep 0.05; done; seq 1 50000; exit 5`;
      const flags = verbose ? ["--verbose"] : [];
      const running = startCli(["run", "--url", proxy.url, ...flags, "--", "/bin/sh", "-c", script]);
      assert.is(await running.firstLine(), "before");
      proxy.cut();
      writeFileSync(go, "");
      const end = await running.ended;
      assert.is(end.code, 5);
      assert.is(end.stdout.split("\n").length, 50_002);
      if (verbose) assert.match(end.stderr, /reconnecting[^]*connected again/);
      else assert.is(end.stderr, "");
    } finally {
      await proxy.stop();
    }
  }
});

test.run();
