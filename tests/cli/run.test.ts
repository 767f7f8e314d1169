// `exec-server run`: the command's streams, signals and exit code are ours, on this machine and through a server.
import { Buffer } from "node:buffer";
import { execFileSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { closeSync, constants, mkdirSync, openSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type CliOptions, runCli, runInShell, startCli } from "../harness/cli.ts";
import { openTerminal } from "../harness/own_terminal.ts";
import { groupMembers, isRunning, stateOf, until } from "../harness/proc.ts";
import { startServer, type TestServer, urlFile } from "../harness/server.ts";
import { tempDir } from "../harness/temp.ts";

const sh = (script: string) => ["/bin/sh", "-c", script];
let server: TestServer;

test.before(async () => {
  server = await startServer();
});
test.after(async () => {
  await server.stop();
});

for (const where of ["local", "remote"] as const) {
  const here = (options: CliOptions): CliOptions =>
    where === "local" ? options : { ...options, env: { EXEC_SERVER_URL: server.url, ...options.env } };
  const run = (command: string[], options: CliOptions = {}, flags: string[] = []) =>
    runCli(["run", ...flags, "--", ...command], here(options));
  const start = (command: string[], options: CliOptions = {}) =>
    startCli(["run", "--", ...command], here(options));
  const it = (title: string, check: () => Promise<void>) => test(`${where}: ${title}`, check);

  it("exits with the command's code", async () => {
    for (const code of [0, 1, 42, 255]) {
      const { code: exit, stdout, stderr } = await run(sh(`exit ${code}`));
      assert.equal([exit, stdout, stderr], [code, "", ""]);
    }
    assert.is((await run(sh("kill -TERM $$"))).code, 143);
    assert.is((await run(sh("kill -KILL $$"))).code, 137);
  });

  it("exits with 125 to 127 when the command could not be run", async () => {
    const folder = tempDir();
    const file = join(folder, "file");
    writeFileSync(file, "", { mode: 0o644 });
    const cases: [number, RegExp, string[], string[]][] = [
      [127, /^exec-server: no-such-command: command not found\n$/, ["no-such-command"], []],
      [127, /command not found/, ["/missing/program"], []],
      [126, /cannot be executed/, [file], []],
      [126, /cannot be executed/, [folder], []],
      [125, /^exec-server: --cwd \S+missing: no such directory there\n$/, ["true"], [
        "--cwd",
        join(folder, "missing"),
      ]],
      [125, /not a directory/, ["true"], ["--cwd", file]],
    ];
    for (const [code, text, command, flags] of cases) {
      const end = await run(command, {}, flags);
      assert.equal([end.code, end.stdout], [code, ""], command.join(" "));
      assert.match(end.stderr, text);
    }
  });

  it("passes both streams on untouched", async () => {
    const path = join(tempDir(), "blob");
    const content = Buffer.concat([Uint8Array.from({ length: 256 }, (_, i) => i), randomBytes(3_000_000)]);
    writeFileSync(path, content);
    const { code, bytes, stderr } = await run(sh(`cat ${path}; echo error >&2; exit 3`));
    assert.equal([code, stderr], [3, "error\n"]);
    assert.ok(bytes.equals(content), "the bytes differ");
  });

  it("passes the arguments on untouched", async () => {
    const odd = ["007", "1e3", "--url", "--help", "--", "-x", "", "a b", "ü🙂", "$HOME", "--no-stdin=1", "*"];
    const { stdout, code } = await run(["printf", "%s|", ...odd]);
    assert.equal([code, stdout], [0, `${odd.join("|")}|`]);
  });

  it("passes piped input on", async () => {
    const stdin = randomBytes(20_000_000);
    const { code, stdout } = await run(["sha256sum"], { stdin });
    const expected = createHash("sha256").update(stdin).digest("hex");
    assert.equal([code, stdout], [0, `${expected}  -\n`]);
    assert.equal((await run(["cat"], { stdin: "" })).stdout, "");
    assert.is((await run(["true"], { stdin: randomBytes(3_000_000) })).code, 0); // unread
  });

  it("passes input on that comes late through a non-blocking pipe", async () => {
    const fifo = join(tempDir(), "fifo");
    execFileSync("mkfifo", [fifo]);
    const descriptor = openSync(fifo, constants.O_RDWR | constants.O_NONBLOCK);
    try {
      const started = start(sh("echo on; head -n 2"), { stdin: descriptor });
      assert.is(await started.firstLine(), "on"); // by now it has found the pipe empty
      writeSync(descriptor, "one\ntwo\n");
      const { stdout, code } = await started.ended;
      assert.equal([stdout, code], ["on\none\ntwo\n", 0]);
    } finally {
      closeSync(descriptor);
    }
  });

  it("gives the command no input of its own", async () => {
    const command = ["readlink", "/proc/self/fd/0"];
    assert.is((await run(command)).stdout, "/dev/null\n");
    assert.is((await run(command, { stdin: "text" }, ["--no-stdin"])).stdout, "/dev/null\n");
    assert.is((await run(["true"], { stdin: "open" })).code, 0); // does not wait for the end of an unused pipe
  });

  it("Ctrl-C reaches the command; a second one kills it", async () => {
    const handled = start(sh("trap 'exit 9' INT; echo on; while :; do sleep 0.05; done"));
    assert.is(await handled.firstLine(), "on");
    handled.signal("SIGINT");
    assert.is((await handled.ended).code, 9);
    const plain = start(sh("echo on; exec sleep 1000"));
    await plain.firstLine();
    plain.signal("SIGINT");
    assert.is((await plain.ended).code, 130);
    const stubborn = start(sh("trap 'echo no >&2' INT; echo $$; while :; do sleep 0.05; done"));
    const group = Number(await stubborn.firstLine());
    stubborn.signal("SIGINT");
    await until("the shell has two children at most", () => groupMembers(group).length > 0);
    stubborn.signal("SIGINT");
    const again = setInterval(() => stubborn.signal("SIGINT"), 100); // two at once may arrive as one
    assert.is((await stubborn.ended).code, 137);
    clearInterval(again);
    await until("nothing of the group runs", () => groupMembers(group).length === 0);
  });

  it("SIGTERM and SIGHUP end the command and all that came of it", async () => {
    for (const signal of ["SIGTERM", "SIGHUP"] as const) {
      const started = start(sh("sleep 1000 & setsid sleep 1000 & echo $! $$; sleep 1000"));
      const [outside = 0, group = 0] = (await started.firstLine()).split(" ").map(Number);
      started.signal(signal);
      assert.is((await started.ended).code, 143, signal);
      await until("nothing runs", () => groupMembers(group).length === 0 && !isRunning(outside));
    }
  });

  it("SIGTERM leaves time to clean up, and kills what does not end; a second one kills at once", async () => {
    const polite = start(sh("trap 'echo bye; exit 9' TERM; echo on; while :; do sleep 0.05; done"));
    await polite.firstLine();
    polite.signal("SIGTERM");
    const { code, stdout } = await polite.ended;
    assert.equal([code, stdout], [9, "on\nbye\n"]);
    const stubborn = ["trap '' TERM; echo on; while :; do sleep 0.05; done", "SIGTERM"] as const;
    for (const signals of [1, 2]) {
      const started = start(sh(stubborn[0]));
      await started.firstLine();
      const began = performance.now();
      started.signal(stubborn[1]);
      const again = setInterval(() => signals === 2 && started.signal("SIGTERM"), 100); // two may arrive as one
      assert.is((await started.ended).code, 137);
      clearInterval(again);
      assert.ok(signals === 2 || performance.now() - began >= 1_900);
    }
  });

  it("passes SIGQUIT, SIGUSR1 and SIGUSR2 on", async () => {
    const traps = ["QUIT", "USR1", "USR2"].map((name) => `trap 'echo ${name}' ${name}`).join("; ");
    const started = start(sh(`${traps}; trap 'exit 3' INT; echo on; while :; do sleep 0.05; done`));
    await started.firstLine();
    for (const [count, name] of (["SIGQUIT", "SIGUSR1", "SIGUSR2"] as const).entries()) {
      started.signal(name);
      await until(`${name} is there`, () => started.output().split("\n").length === count + 3);
    }
    started.signal("SIGINT");
    const { code, stdout } = await started.ended;
    assert.equal([code, stdout], [3, "on\nQUIT\nUSR1\nUSR2\n"]);
    const plain = start(sh("echo on; exec sleep 1000"));
    await plain.firstLine();
    plain.signal("SIGQUIT");
    assert.is((await plain.ended).code, 131);
  });

  it("Ctrl-Z stops the command and us, fg continues both", async () => {
    const started = start(sh("echo $$; exec sleep 1000"));
    const command = Number(await started.firstLine());
    started.signal("SIGTSTP");
    await until("both have stopped", () => stateOf(command) === "T" && stateOf(started.pid) === "T");
    started.signal("SIGCONT");
    await until("both go on", () => stateOf(command) === "S" && stateOf(started.pid) !== "T");
    started.signal("SIGINT");
    assert.is((await started.ended).code, 130);
  });

  it("--timeout ends the command: 124", async () => {
    const { code, stdout, stderr } = await run(sh("echo on; sleep 60"), {}, ["--timeout", "0.5"]);
    assert.equal([code, stdout], [124, "on\n"]);
    assert.match(stderr, /time is over/);
    assert.is((await run(["true"], {}, ["--timeout", "60"])).code, 0);
    const polite = sh("trap 'echo bye; exit 0' TERM; echo on; while :; do sleep 0.05; done");
    const graceful = await run(polite, {}, ["--timeout", "1", "--kill-after", "60"]);
    assert.equal([graceful.code, graceful.stdout], [124, "on\nbye\n"]);
    const stubborn = sh("trap '' TERM; while :; do sleep 0.05; done");
    assert.is((await run(stubborn, {}, ["--timeout", "1", "--kill-after", "0.2"])).code, 124);
  });

  it("--limit limits", async () => {
    const flags = [
      "--limit",
      "files=50",
      "--limit",
      "memory=512M",
      "--limit=data=256M",
      "--limit",
      "file-size=8K",
    ];
    const { stdout, code } = await run(sh("ulimit -n; ulimit -v; ulimit -d; ulimit -f"), {}, flags);
    assert.equal([code, stdout], [0, "50\n524288\n262144\n16\n"]);
    const busy = await run(sh("while :; do :; done"), {}, ["--limit", "cpu=1"]);
    assert.ok(busy.code === 152 || busy.code === 137, `SIGXCPU or SIGKILL: ${busy.code}`);
  });

  it("-t gives the command a terminal, and piped input and its end", async () => {
    const { code, stdout } = await run(["cat"], { stdin: "abc\n" }, ["-t"]);
    assert.equal([code, stdout], [0, "abc\r\nabc\r\n"]); // what the terminal echoes, and cat
    assert.is((await run(["tty"], {}, ["-t"])).stdout.startsWith("/dev/"), true);
    const both = await run(sh("echo out; echo err >&2; stty size; exit 4"), {}, ["--tty"]);
    assert.equal([both.code, both.stdout, both.stderr], [4, "out\r\nerr\r\n24 80\r\n", ""]);
    assert.is((await run(["cat"], {}, ["-t"])).code, 0); // /dev/null: the end at once
    assert.is((await run(["cat"], { stdin: "text" }, ["-t", "--no-stdin"])).stdout, "");
    const twice = await run(sh("cat; cat"), { stdin: "hello\n" }, ["-t", "--timeout", "10"]);
    assert.equal([twice.code, twice.stdout], [0, "hello\r\nhello\r\n"]); // the terminal's echo, then cat's
    const env = { TERM: "vt220", LINES: "7", COLUMNS: "9" };
    assert.is((await run(sh("echo $TERM$LINES$COLUMNS"), { env }, ["-t"])).stdout, "vt220\r\n");
    const slow = await run(sh("sleep 60"), {}, ["-t", "--timeout", "0.5"]);
    assert.is(slow.code, 124);
  });

  it("-t at a terminal passes every key on, also Ctrl-C, and the size", async () => {
    const url = where === "local" ? "local" : server.url;
    const script = "trap 'echo caught; stty size; exit 5' INT; echo on; while :; do sleep 0.05; done";
    const terminal = await openTerminal(["run", "-t", "--", ...sh(script)], {
      size: { rows: 31, cols: 97 },
      env: { EXEC_SERVER_URL: url },
    });
    try {
      await terminal.shows("on\r\n");
      await terminal.type("~.");
      await terminal.shows("~.");
      await terminal.type("\x03");
      await terminal.shows(/\^Ccaught\r\n31 97\r\n/);
      const { code, modes: [before, after] } = await terminal.ended;
      assert.equal([code, after], [5, before]);
    } finally {
      await terminal.close();
    }
  });

  it("ends when its output is not wanted any more", async () => {
    const { stdout, stderr } = await runInShell('("$@" run -- yes; echo $? >&2) | head -n 1', here({}));
    assert.equal([stdout, stderr], ["y\n", "141\n"]);
  });

  it("runs in --cwd, with --env over --inherit-env", async () => {
    const cwd = join(tempDir(), "007 ü");
    mkdirSync(cwd);
    assert.is((await run(["pwd"], {}, ["--cwd", cwd])).stdout, `${cwd}\n`);
    // A relative one counts from the environment's own directory.
    assert.is((await run(["pwd"], {}, ["--cwd", "."])).stdout, (await run(["pwd"])).stdout);
    const flags = ["--inherit-env", "none", "--env", "A=1=2", "--env", "B=", "--env=C=007"];
    // What came of a process is known by this variable.
    const withoutMark = (text: string) => text.replace(/^EXEC_SERVER_PROCESS=.*\n/m, "");
    const printed = withoutMark((await run(["/usr/bin/env"], {}, flags)).stdout).trim().split("\n").sort();
    assert.equal(printed, ["A=1=2", "B=", "C=007"]);
    assert.is(withoutMark((await run(["/usr/bin/env"], {}, ["--inherit-env", "none"])).stdout), "");
    const core = (await run(["/usr/bin/env"], {}, ["--inherit-env", "core"])).stdout;
    assert.match(core, /^PATH=/m);
    assert.not.match(core, /EXEC_SERVER_TEST_MARK/);
  });
}

test("--url is stronger than EXEC_SERVER_URL, and `local` is this machine", async () => {
  const env = { EXEC_SERVER_URL: "ws://127.0.0.1:1" };
  assert.is(
    (await runCli(["run", "--url-file", urlFile(server.url), "--", "echo", "there"], { env })).stdout,
    "there\n",
  );
  assert.is(
    (await runCli(["run", "--", "echo", "here"], { env: { EXEC_SERVER_URL: "local" } })).stdout,
    "here\n",
  );
  assert.is((await runCli(["run", "--url", "local", "--", "echo", "here"], { env })).stdout, "here\n");
  const { code, stderr } = await runCli(["run", "--", "true"], { env });
  assert.is(code, 125);
  assert.match(stderr, /^exec-server: .*\nIs the server running\?/);
});

test("wrong command lines exit with 2 and say what is wrong", async () => {
  const wrong: [string[], RegExp][] = [
    [[], /no command/],
    [["true"], /no command|Unused args/],
    [["--bogus", "--", "true"], /bogus/],
    [["--env", "X", "--", "true"], /--env takes NAME=VALUE, not 'X'/],
    [["--env", "=x", "--", "true"], /--env takes NAME=VALUE/],
    [["--inherit-env", "some", "--", "true"], /--inherit-env takes one of: all, core, none/],
    [["--cwd", "--", "true"], /cwd/],
    [["--timeout", "0", "--", "true"], /'0' for '--timeout': seconds from 0.001 to/],
    [["--timeout", "1e3", "--", "true"], /--timeout/],
    [["--timeout", "3000000", "--", "true"], /--timeout/],
    [["--kill-after", "1", "--", "true"], /--timeout/],
    [["--limit", "memory", "--", "true"], /--limit takes NAME=VALUE with a name of: cpu, memory,/],
    [["--limit", "colour=1", "--", "true"], /--limit takes NAME=VALUE/],
    [["--limit", "cpu=0", "--", "true"], /'0' for '--limit cpu': a whole number from 1/],
    [["--limit", "memory=lots", "--", "true"], /'lots' for '--limit memory': a size/],
    [["--url", "http://127.0.0.1:1", "--", "true"], /ws:\/\//],
  ];
  for (const [args, text] of wrong) {
    const { code, stdout, stderr } = await runCli(["run", ...args]);
    assert.equal([code, stdout], [2, ""], args.join(" "));
    assert.match(stderr, text);
    assert.match(stderr, /^error: /);
  }
});

test.run();
