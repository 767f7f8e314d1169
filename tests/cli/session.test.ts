// `run --detach`, `attach`, `logs`, `ps`, `kill`, and a `run` whose connection is cut: a session outlives them all.
import { Buffer } from "node:buffer";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { displayWidth } from "../../src/cli/table.ts";
import { startProxy } from "../faults/proxy.ts";
import { type CliEnd, runCli, startCli } from "../harness/cli.ts";
import { openTerminal } from "../harness/own_terminal.ts";
import { groupMembers, until } from "../harness/proc.ts";
import { startServer, type TestServer, urlFile } from "../harness/server.ts";
import { tempDir } from "../harness/temp.ts";

let server: TestServer;

test.before(async () => {
  server = await startServer();
});
test.after(async () => {
  await server.stop();
});

const utf8 = (latin1: string) => Buffer.from(latin1, "latin1").toString();

/** Starts a line of shell and leaves it running. */
async function detached(script: string): Promise<{ session: string; process: string }> {
  const end = await runCli([
    "run",
    "--url-file",
    urlFile(server.url),
    "--detach",
    "--",
    "/bin/sh",
    "-c",
    script,
  ]);
  assert.is(end.code, 0, end.stderr);
  const [session = "", process = ""] = end.stdout.trim().split(" ");
  assert.match(session, /^[0-9a-f-]{36}$/);
  assert.is(end.stdout, `${session} ${process}\n`);
  assert.is(end.stderr, "");
  return { session, process };
}

function on(session: string, command: string, ...flags: string[]): Promise<CliEnd> {
  return runCli([command, "--url-file", urlFile(server.url), "--session", session, ...flags]);
}

/** What `ps --json` prints, once it matches. */
async function untilListed(session: string, pattern: RegExp): Promise<string> {
  for (;;) {
    const { code, stdout, stderr } = await on(session, "ps", "--json");
    assert.is(code, 0, stderr); // else a broken `ps` would be asked for ever
    if (pattern.test(stdout)) return stdout;
  }
}

async function pidIn(session: string): Promise<number> {
  return Number(/"pid": (\d+)/.exec((await on(session, "ps", "--json")).stdout)?.[1]);
}

test("attach goes on where run --detach left: all output, the exit code", async () => {
  const go = join(tempDir(), "go");
  const { session, process } = await detached(
    `echo before; until [ -e ${go} ]; do sleep 0.05; done; echo after >&2; exit 4`,
  );
  const listed: unknown = JSON.parse((await on(session, "ps", "--json")).stdout);
  assert.ok(Array.isArray(listed) && listed.length === 1);
  assert.match(JSON.stringify(listed), new RegExp(`"id":"${process}".*"state":"running"`));
  const attached = startCli([
    "attach",
    "--url-file",
    urlFile(server.url),
    "--session",
    session,
    "--process",
    process,
  ]);
  assert.is(await attached.firstLine(), "before");
  writeFileSync(go, "");
  const end = await attached.ended;
  assert.equal([end.code, end.stdout, end.stderr], [4, "before\n", "after\n"]);
});

test("logs prints what is kept and leaves it for attach", async () => {
  const { session } = await detached("seq 1 1000; exit 3");
  const expected = Array.from({ length: 1000 }, (_, index) => `${index + 1}\n`).join("");
  await untilListed(session, /"state": "closed"/);
  assert.is((await on(session, "logs")).stdout, expected);
  assert.is((await on(session, "logs")).stdout, expected);
  const end = await on(session, "attach");
  assert.equal([end.code, end.stdout], [3, expected]);
});

test("kill ends the whole group and says whether anything ran", async () => {
  const { session } = await detached("sleep 1000 & exec sleep 1000");
  const pid = await pidIn(session);
  await until("both run", () => groupMembers(pid).length === 2);
  assert.is((await on(session, "kill")).code, 0);
  assert.equal(groupMembers(pid), []);
  assert.is((await on(session, "kill", "--all")).code, 1);
});

test("kill ends what a command has left running, and says so when nothing is", async () => {
  const { session, process } = await detached("sleep 998 >/dev/null 2>&1 & exit 3");
  await untilListed(session, /"state": "closed"[^]*"processes": 1/);
  const pid = await pidIn(session);
  assert.equal(groupMembers(pid).length, 1);
  assert.equal(await on(session, "kill", "-s", "USR2", "--all").then(({ code }) => code), 0);
  await until("the signal has ended it", () => groupMembers(pid).length === 0);
  const after = await on(session, "kill");
  assert.equal([after.code, after.stderr], [1, `exec-server: process ${process} has ended\n`]);
  const other = await detached("sleep 998 >/dev/null 2>&1 & exit 3");
  await untilListed(other.session, /"state": "closed"[^]*"processes": 1/);
  const killed = await on(other.session, "kill");
  assert.equal([killed.code, killed.stderr], [0, ""]);
  assert.equal(groupMembers(await pidIn(other.session)), []);
});

test("ps, logs and kill leave a session alone that somebody is attached to; --force takes it", async () => {
  const { session } = await detached("echo here; exec sleep 1000");
  const attached = startCli(["attach", "--url-file", urlFile(server.url), "--session", session]);
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

test("kill -s sends a signal by any name, and ends nothing else", async () => {
  const script = "trap 'echo usr1' USR1; trap 'echo hup' HUP; echo on; while :; do sleep 0.05; done";
  const { session } = await detached(script);
  const logged = async (text: string) => {
    for (let out = ""; out !== text;) out = (await on(session, "logs")).stdout;
  };
  await logged("on\n");
  assert.is((await on(session, "kill", "-s", "USR1")).code, 0);
  await logged("on\nusr1\n");
  assert.is((await on(session, "kill", "--signal=hup")).code, 0);
  await logged("on\nusr1\nhup\n");
  assert.is((await on(session, "kill", "-s", "9")).code, 0);
  const listed = await untilListed(session, /"state": "closed"/);
  assert.match(listed, /"exitCode": 137,\s+"signal": "SIGKILL",\s+"timedOut": false,\s+"terminated": false/);
  const late = await on(session, "kill", "-s", "TERM");
  assert.is(late.code, 1);
  assert.match(late.stderr, /has ended/);
  assert.is((await on(session, "logs")).stdout, "on\nusr1\nhup\n"); // what was not read is still there
  for (const flags of [["-s", "NONE"], ["-s", "TERM", "--grace", "1"], ["-s"]]) {
    assert.is((await on(session, "kill", ...flags)).code, 2, flags.join(" "));
  }
});

test("kill --grace leaves time to clean up", async () => {
  const { session } = await detached("trap 'echo bye; exit 4' TERM; echo on; while :; do sleep 0.05; done");
  for (let out = ""; out !== "on\n";) out = (await on(session, "logs")).stdout;
  assert.is((await on(session, "kill", "--grace", "60")).code, 0);
  assert.match(await untilListed(session, /"state": "closed"/), /"exitCode": 4,[^}]*"terminated": true/);
  assert.is((await on(session, "logs")).stdout, "on\nbye\n");
});

test("ps shows a table in which no argument acts on the terminal, and the whole as JSON", async () => {
  const evil = "echo '\x1b]0;title\x07' \u202e; exec sleep 1000";
  const { session, process } = await detached(evil);
  const { stdout } = await on(session, "ps");
  assert.not.match(stdout.replaceAll("\n", ""), /[\p{Cc}\p{Cf}]/u);
  const [header = "", line = "", ...more] = stdout.split("\n");
  assert.equal(more, [""]);
  assert.match(header, /^PROCESS +PID +STATE +STARTED +CPU +MEM +OUT +COMMAND$/);
  assert.ok(line.startsWith(`${process}  `));
  for (const title of ["STATE", "STARTED", "COMMAND"]) {
    assert.is(line.charAt(header.indexOf(title) - 1), " ", title);
    assert.is.not(line.charAt(header.indexOf(title)), " ", title);
  }
  const cells =
    /^\S+ +\d+ +running +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d +\d:\d\d\.\d\d +[\d.]+[KM] +\d+ +\/bin\/sh -c \$'.*\\x1b\]0;.*'$/;
  assert.match(line, cells);
  const json = await untilListed(session, /"outputBytes": 1\d/);
  assert.not.match(json.replaceAll("\n", ""), /[\p{Cc}\p{Cf}]/u);
  const [one]: Record<string, unknown>[] = JSON.parse(json);
  assert.equal(Object.keys(one ?? {}), [
    ...["id", "argv", "state", "pid", "exit", "startedAtMs", "cwd", "tty", "outputBytes", "usage"],
  ]);
  assert.equal([one?.["argv"], one?.["exit"], one?.["tty"]], [["/bin/sh", "-c", evil], null, false]);
  // Only a terminal has a width.
  const terminal = await openTerminal(["ps", "--url-file", urlFile(server.url), "--session", session], {
    size: { rows: 24, cols: 60 },
  });
  const { rest, modes } = await terminal.ended;
  await terminal.close();
  assert.equal(rest.split("\r\n").map((each) => displayWidth(utf8(each))), [60, 60, 0]);
  assert.is(modes[0], modes[1]);
  await on(session, "kill");
});

test("ps tells how processes ended", async () => {
  const cases: [string, string[], RegExp][] = [
    ["exit 3", [], / exited 3 /],
    ["kill -TERM $$", [], / killed SIGTERM /],
    ["sleep 1000", ["--timeout", "0.1"], / timed out /],
  ];
  for (const [script, flags, text] of cases) {
    const end = await runCli([
      "run",
      "--url-file",
      urlFile(server.url),
      "--detach",
      ...flags,
      "--",
      "/bin/sh",
      "-c",
      script,
    ]);
    const [session = ""] = end.stdout.split(" ");
    await untilListed(session, /"state": "closed"/);
    assert.match((await on(session, "ps")).stdout, text);
  }
});

test("attach --read-only watches beside the owner, who goes on", async () => {
  const go = join(tempDir(), "go");
  const script = `echo on; until [ -e ${go} ]; do sleep 0.05; done; seq 1 1000; exit 4`;
  const { session, process } = await detached(script);
  const flags = ["attach", "--url-file", urlFile(server.url), "--session", session];
  const owner = startCli(flags);
  assert.is(await owner.firstLine(), "on");
  const watching = [1, 2].map(() => startCli([...flags, "--process", process, "--read-only"]));
  for (const one of watching) assert.is(await one.firstLine(), "on");
  const leaver = startCli([...flags, "--process", process, "--read-only"]);
  assert.is(await leaver.firstLine(), "on");
  leaver.signal("SIGINT");
  assert.equal((await leaver.ended).code, 130);
  writeFileSync(go, "");
  const expected = `on\n${Array.from({ length: 1000 }, (_, index) => `${index + 1}\n`).join("")}`;
  for (const one of [owner, ...watching]) {
    const { code, stdout, stderr } = await one.ended;
    assert.equal([code, stdout, stderr], [4, expected, ""]);
  }
  const unnamed = await runCli([...flags, "--read-only"]);
  assert.is(unnamed.code, 2);
  assert.match(unnamed.stderr, /--process/);
  const unknown = await runCli([...flags, "--read-only", "--process", "none"]);
  assert.is(unknown.code, 1);
});

test("attach --read-only of a terminal shows it, types nothing, and leaves ours as it was", async () => {
  const flags = ["--url-file", urlFile(server.url), "--session"];
  const owner = await openTerminal([
    "shell",
    "--url-file",
    urlFile(server.url),
    "--env",
    "PS1=> ",
    "--",
    "bash",
    "--norc",
  ]);
  try {
    await owner.shows("> ");
    await owner.type("printf '\\033[?1049h'; echo o''n; cat\r");
    await owner.shows("on\r\n");
    await owner.type("~d");
    const text = await owner.shows(/--session \S+ --process \S+\r\n/);
    const [, session = "", process = ""] = /--session (\S+) --process (\S+)\r\n/.exec(text) ?? [];
    await owner.ended;
    const again = await openTerminal(["attach", ...flags, session, "--process", process]);
    const watcher = await openTerminal(["attach", ...flags, session, "--process", process, "--read-only"]);
    try {
      await again.type("seen\r");
      await watcher.shows(/seen\r\nseen\r\n/);
      await watcher.type("typed\r\x03");
      const { code, modes: [before, after], rest } = await watcher.ended;
      assert.equal([code, after], [130, before]);
      assert.match(rest, "\x1b[?1049l");
      await again.type("still\r");
      const shown = await again.shows(/still\r\nstill\r\n/);
      assert.not.match(shown, "typed");
      await again.type("~.");
      await again.ended;
    } finally {
      await again.close();
      await watcher.close();
    }
  } finally {
    await owner.close();
  }
});

test("what is wrong with a session is said", async () => {
  const unknown = await on("3f8f9f57-3a9d-4c4c-9f0b-0e3ad6a0a7ce", "attach");
  assert.equal([unknown.code, unknown.stdout], [1, ""]);
  assert.match(unknown.stderr, /unknown session id/);
  const wrong: [string[], RegExp][] = [
    [["attach", "--url-file", urlFile(server.url)], /--session ID/],
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
      const running = startCli([
        "run",
        "--url-file",
        urlFile(proxy.url),
        ...flags,
        "--",
        "/bin/sh",
        "-c",
        script,
      ]);
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
