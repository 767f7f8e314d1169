// `exec-server shell` and a connection that breaks: nothing is lost, and no way out leaves our terminal changed.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type Proxy, startProxy } from "../faults/proxy.ts";
import { runCli } from "../harness/cli.ts";
import { openTerminal, type OwnTerminal } from "../harness/own_terminal.ts";
import { isRunning, until } from "../harness/proc.ts";
import { startServer, type TestServer, urlFile } from "../harness/server.ts";
import { tempDir } from "../harness/temp.ts";

const PROMPT = "> ";
const BASH = ["--env", `PS1=${PROMPT}`, "--", "bash", "--norc", "--noprofile"];
let server: TestServer;

test.before(async () => {
  server = await startServer();
});
test.after(async () => {
  await server.stop();
});

async function inTerminal(
  args: readonly string[],
  check: (terminal: OwnTerminal) => Promise<void>,
): Promise<void> {
  const terminal = await openTerminal(args);
  try {
    await check(terminal);
    const { modes: [before, after] } = await terminal.ended;
    assert.is(after, before, "stty -g");
  } finally {
    await terminal.close();
  }
}

async function throughProxy(
  flags: readonly string[],
  check: (terminal: OwnTerminal, proxy: Proxy) => Promise<void>,
): Promise<void> {
  const proxy = await startProxy(server.url);
  try {
    await inTerminal(
      ["shell", "--url-file", urlFile(proxy.url), ...flags],
      (terminal) => check(terminal, proxy),
    );
  } finally {
    await proxy.stop();
  }
}

/** The ids that are printed for whoever wants to come back. */
async function wayBack(terminal: OwnTerminal): Promise<string[]> {
  const text = await terminal.shows(/exec-server attach --url-file \S+ --session \S+ --process \S+\r\n/);
  const [, ids = ""] = /attach (--url-file \S+ --session \S+ --process \S+)\r\n$/.exec(text) ?? [];
  return ids.split(" ");
}

test("cuts in the middle of output lose nothing, and pass unnoticed", () =>
  throughProxy(["--", "/bin/sh", "-c", "echo on; read go; seq 1 200000; exit 6"], async (terminal, proxy) => {
    await terminal.shows("on\r\n");
    await terminal.type("\r");
    for (const bytes of [30_000, 200_000, 500_000]) await proxy.cutAfter(bytes, "down");
    const { code, rest } = await terminal.ended;
    const lines = Array.from({ length: 200_000 }, (_, index) => `${index + 1}\r\n`).join("");
    assert.is(code, 6);
    assert.ok(rest === `\r\n${lines}`, `the output differs: ${rest.length}`);
  }));

test("while the server is out of reach it says so once; keys arrive once", () =>
  throughProxy(BASH, async (terminal, proxy) => {
    await terminal.shows(PROMPT);
    proxy.refuse(true);
    proxy.cut();
    await terminal.type("echo ke''ys\r");
    await terminal.shows(/\r\nexec-server: the connection is broken \([^\n]*~\. leaves\.\r\n/);
    await terminal.resize({ rows: 30, cols: 100 });
    proxy.refuse(false);
    const text = await terminal.shows(/keys\r\n[^]*> /); // the echo has quotes in it; a repainted prompt may precede
    assert.is(text.split("connection is broken").length, 1, "said once");
    assert.is(text.split("connected again").length, 2);
    assert.is(text.split("ke''ys").length, 2, "echoed once");
    await terminal.type("until stty size | grep '30 100'; do :; done\r");
    await terminal.shows(/\r30 100\r\n[^]*> /);
    await terminal.type("exit 7\r");
    const { code, rest } = await terminal.ended;
    assert.is(code, 7);
    assert.not.match(rest, "keys");
  }));

test("~. leaves also while the server is out of reach, and says what may be left", () =>
  throughProxy(BASH, async (terminal, proxy) => {
    await terminal.shows(PROMPT);
    proxy.refuse(true);
    proxy.cut();
    await terminal.type("\r~.");
    await terminal.shows(/left without an answer; the process may still run/);
    const [, , , session = ""] = await wayBack(terminal);
    assert.is((await terminal.ended).code, 125);
    const end = await runCli(["kill", "--url-file", urlFile(server.url), "--session", session, "--force"]);
    assert.is(end.code, 0, end.stderr);
  }));

test("~. leaves also when the server says nothing any more", () =>
  throughProxy(BASH, async (terminal, proxy) => {
    await terminal.shows(PROMPT);
    proxy.blackhole();
    await terminal.type("\r~.");
    await terminal.type("~."); // twice: at once
    await terminal.shows(/left without an answer/);
    assert.is((await terminal.ended).code, 125);
  }));

test("~d leaves the shell running, attach comes back, and has it painted again", async () => {
  let back: string[] = [];
  await inTerminal(["shell", "--url-file", urlFile(server.url), ...BASH], async (terminal) => {
    await terminal.shows(PROMPT);
    await terminal.type("trap 'echo size $(stty size)' WINCH; x=kept\r");
    await terminal.shows(/kept\r\n[^]*> /);
    await terminal.type("~d");
    await terminal.shows(/goes on; it is ended when nobody attaches for 90 s \(--session-ttl\)\./);
    back = await wayBack(terminal);
    assert.is((await terminal.ended).code, 0);
  });
  for (const code of [undefined, 11]) {
    const terminal = await openTerminal(["attach", ...back], { size: { rows: 40, cols: 100 } });
    try {
      await terminal.shows(/size 39 100[^]*size 40 100/);
      await terminal.type("echo x=$x\r");
      await terminal.shows(/\rx=kept\r\n/);
      await terminal.type(code === undefined ? "\r~d" : `exit ${code}\r`);
      const { modes: [before, after], ...end } = await terminal.ended;
      assert.is(after, before);
      assert.is(end.code, code ?? 0);
    } finally {
      await terminal.close();
    }
  }
});

test("attach without a terminal of ours gives the output of one there", async () => {
  let back: string[] = [];
  const go = join(tempDir(), "go");
  const script = `echo on; until [ -e ${go} ]; do sleep 0.05; done; echo more; exit 12`;
  await inTerminal(
    ["shell", "--url-file", urlFile(server.url), "--", "/bin/sh", "-c", script],
    async (terminal) => {
      await terminal.shows("on\r\n");
      await terminal.type("~d");
      back = await wayBack(terminal);
    },
  );
  assert.not(existsSync(go));
  const running = runCli(["attach", ...back]);
  const touched = await runCli(["run", "--url-file", urlFile(server.url), "--", "touch", go]);
  assert.is(touched.code, 0);
  const end = await running;
  assert.is(end.code, 12);
  assert.match(end.stdout, /more\r\n$/);
});

test("a session that is taken over, and a server that is gone for good, end it", async () => {
  await inTerminal(["shell", "--url-file", urlFile(server.url), ...BASH], async (terminal) => {
    await terminal.shows(PROMPT);
    await terminal.type("~d");
    const back = await wayBack(terminal);
    const owner = await openTerminal(["attach", ...back]);
    try {
      await owner.shows(PROMPT);
      const [, , , session = ""] = back;
      assert.is(
        (await runCli(["kill", "--url-file", urlFile(server.url), "--session", session, "--force"])).code,
        0,
      );
      await owner.shows(/resumed by another connection/);
      const { code, modes } = await owner.ended;
      assert.equal([code, modes[1]], [1, modes[0]]);
    } finally {
      await owner.close();
    }
  });
  for (const signal of ["SIGKILL", "SIGTERM"] as const) {
    const mortal = await startServer({ args: ["--session-ttl", "1"] });
    let pid = 0;
    await inTerminal(["shell", "--url-file", urlFile(mortal.url), ...BASH], async (terminal) => {
      await terminal.shows(PROMPT);
      await terminal.type("printf '\\033[?1049h'; echo pid=$$.\r");
      pid = Number(/pid=(\d+)\./.exec(await terminal.shows(/pid=\d+\./))?.[1]);
      await mortal.stop(signal);
      const { code, rest } = await terminal.ended;
      if (signal === "SIGKILL") assert.match(rest, "could not be reached again");
      if (rest.includes("exec-server: ")) assert.match(rest, "\x1b[?1049l");
      assert.ok(code === 125 || code >= 128, `${signal}: ${code}`);
    });
    await until("the shell has ended", () => !isRunning(pid));
  }
});

test.run();
