// The contract of terminals: a real one, with its size, its keys and its jobs, and no byte lost.
import { createHash, randomBytes } from "node:crypto";

import { join } from "node:path";
import process from "node:process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Environment } from "../../src/environment.ts";
import type { Process, Processes, StartOptions } from "../../src/process/trait.ts";
import { codeOf } from "../harness/code_of.ts";
import { environments, processTests } from "../harness/environments.ts";
import { exited, TERMINATED } from "../harness/exits.ts";
import { childrenOf, groupMembers, isInFront, openFiles, until } from "../harness/proc.ts";
import { readText } from "../harness/read_process.ts";
import { tempDir } from "../harness/temp.ts";

const encoder = new TextEncoder();
const SEQ_BYTES = 1_488_895; // seq 1 200000 with \r\n
const RUNS = 20;
const SPAWNS = 500;
const AT_ONCE = 10;
const SHOW_LIMIT_MS = 20_000;

/** What never shows must fail its own test, not the whole file. */
async function inTime<T>(wanted: Promise<T>, what: () => string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`after ${SHOW_LIMIT_MS} ms ${what()}`)), SHOW_LIMIT_MS);
  });
  return await Promise.race([wanted, late]).finally(() => clearTimeout(timer));
}

/** A terminal in front of a person: what is on it, and keys. */
function screenOf(started: Process) {
  const writer = started.stdin.getWriter();
  const chunks = started.stdout[Symbol.asyncIterator]();
  const decoder = new TextDecoder();
  let text = "";
  return {
    type: (keys: string | Uint8Array) => writer.write(typeof keys === "string" ? encoder.encode(keys) : keys),
    endOfFile: () => writer.close(),
    /** Resolves when the screen shows it, with everything up to there, and forgets that. */
    async shows(pattern: RegExp): Promise<string> {
      for (;;) {
        const found = pattern.exec(text);
        if (found) {
          const end = found.index + found[0].length;
          const shown = text.slice(0, end);
          text = text.slice(end);
          return shown;
        }
        const { done, value } = await inTime(
          chunks.next(),
          () => `it shows ${JSON.stringify(text)}, not ${pattern}`,
        );
        if (done) throw new Error(`the terminal closed; it shows ${JSON.stringify(text)}, not ${pattern}`);
        text += decoder.decode(value, { stream: true });
      }
    },
  };
}

/** Registers the tests for one implementation. */
export function terminalsContract(name: string, open: () => Promise<Environment>): void {
  let processes: Processes;
  const it = processTests(name, open, (opened) => processes = opened);
  const start = (script: string, options: Partial<StartOptions> = {}) =>
    processes.start({ argv: ["/bin/sh", "-c", script], tty: true, ...options });
  const outputOf = async (script: string, options: Partial<StartOptions> = {}) => {
    const started = await start(script, options);
    const [text, exit] = await Promise.all([readText(started.stdout), started.wait()]);
    assert.equal(exit, exited(0), text);
    return text;
  };

  it("is a terminal, the process's own, of 24 rows and 80 columns", async () => {
    const script = "stty size; test -t 0 && test -t 1 && test -t 2 && echo tty; " +
      "echo direct > /dev/tty; ps -o pid=,sid=,pgid=,tpgid= -p $$ | tr -s ' '";
    const [size, tty, direct, ids = ""] = (await outputOf(script)).split("\r\n");
    assert.equal([size, tty, direct], ["24 80", "tty", "direct"]);
    assert.is(new Set(ids.trim().split(" ")).size, 1, `leader of session, group and foreground: ${ids}`);
  });

  it("has the size that is asked for, and changes it", async () => {
    const script = "trap 'echo changed' WINCH; stty size; while :; do read line && stty size; done";
    const started = await start(script, { size: { rows: 33, cols: 91 } });
    const screen = screenOf(started);
    await screen.shows(/33 91\r\n/);
    await started.resize({ rows: 45, cols: 123 });
    await screen.type("\n");
    await screen.shows(/changed/);
    await screen.type("\n");
    await screen.shows(/45 123\r\n/);
    await started.terminate();
    await started.resize({ rows: 1, cols: 1 }); // it is gone: nothing happens
  });

  it("refuses a size that is none, and to resize what has no terminal", async () => {
    const sizes = [{ rows: 0, cols: 80 }, { rows: 24, cols: 65_536 }, { rows: 1.5, cols: 2 }];
    for (const size of sizes) assert.is(await codeOf(start("true", { size })), "INVALID_PARAMS");
    const plain = await processes.start({ argv: ["cat"], pipeStdin: true });
    assert.is(await codeOf(plain.resize({ rows: 24, cols: 80 })), "INVALID_REQUEST");
    await plain.stdin.close();
    assert.equal(await plain.wait(), exited(0));
  });

  it("has a TERM unless told otherwise", async () => {
    assert.is(await outputOf("echo $TERM", { env: { TERM: "vt100" } }), "vt100\r\n");
    const envPolicy = {
      inherit: "none",
      ignoreDefaultExcludes: false,
      exclude: [],
      set: {},
      includeOnly: [],
    } as const;
    assert.is(await outputOf("echo $TERM", { envPolicy }), "xterm-256color\r\n");
  });

  it("tells exit codes and signals", async () => {
    assert.equal(await (await start("exit 7")).wait(), exited(7));
    assert.equal(await (await start("kill -TERM $$")).wait(), { ...exited(143), signal: "SIGTERM" });
    assert.equal(await (await start("kill -SEGV $$")).wait(), { ...exited(139), signal: "SIGSEGV" });
    const started = await start("sleep 1000");
    await started.terminate();
    assert.equal(await started.wait(), TERMINATED);
  });

  it("shows what a program prints, in order, with both streams in one", async () => {
    assert.is(await outputOf("echo one; echo two >&2; printf three"), "one\r\ntwo\r\nthree");
  });

  it("takes argv[0], and says why it cannot start", async () => {
    const script = "tr '\\0' '|' < /proc/$$/cmdline; true";
    assert.match(await outputOf(script, { arg0: "-login" }), /^-login\|-c\|/);
    const why = (options: Partial<StartOptions>) => codeOf(start("true", options));
    assert.is(await why({ argv: ["/missing/program"] }), "ENOENT");
    assert.is(await why({ cwd: "/missing" }), "ENOENT");
    assert.is(await why({ argv: ["/etc/passwd"] }), "EACCES");
    assert.is.not(await why({ argv: [""] }), "it resolved");
  });

  it("passes keys: echo, Ctrl-C, Ctrl-D, Ctrl-backslash", async () => {
    const started = await start("trap 'echo caught' INT; cat; echo end; trap - QUIT; sleep 1000");
    const screen = screenOf(started);
    await screen.type("hello\n");
    await screen.shows(/hello\r\nhello\r\n/); // the terminal's echo, then cat's
    await screen.type("\x03");
    await screen.shows(/end/);
    await screen.type("\x1c");
    const { signal } = await started.wait();
    assert.is(signal, "SIGQUIT");
  });

  it("ends the input by the end-of-file character, also after a part of a line", async () => {
    for (const text of ["", "line\n", "part"]) {
      const started = await start("exec cat");
      const screen = screenOf(started);
      if (text !== "") await screen.type(text);
      await screen.endOfFile();
      assert.equal(await started.wait(), exited(0), JSON.stringify(text));
    }
  });

  it("keeps the input at its end: whoever reads again finds it, too", async () => {
    const script =
      "cat; echo one; sleep 0.2; cat; echo two; read line || echo three; stty raw; head -c 1 | od -c";
    const started = await start(script);
    const screen = screenOf(started);
    await screen.type("hello\n");
    await screen.endOfFile();
    await screen.shows(/one\r\n/);
    await screen.shows(/two\r\n/);
    await screen.shows(/three\r\n/);
    await screen.shows(/ 004|\\0/); // byte by byte there is no end, only its character: typed now, or before
    assert.equal(await started.wait(), exited(0));
    const argv = ["bash", "--norc", "-i"];
    const shell = await processes.start({ argv, tty: true, env: { PS1: "> ", HISTFILE: "/dev/null" } });
    const typed = screenOf(shell);
    await typed.shows(/> /);
    await typed.type("cat; echo end of cat\n");
    await typed.endOfFile(); // of the shell's command, and of the shell, which reads keys
    await typed.shows(/end of cat\r\n[^]*end of cat\r\n/);
    assert.equal(await inTime(shell.wait(), () => "the shell has not found the end"), exited(0));
  });

  it("has job control: Ctrl-Z, bg, fg, Ctrl-C", async () => {
    const started = await processes.start({
      argv: ["bash", "--norc", "-i"],
      tty: true,
      env: { PS1: "> ", HISTFILE: "/dev/null" },
    });
    const screen = screenOf(started);
    await screen.shows(/> /);
    await screen.type("sleep 1000\n");
    await screen.shows(/1000\r\n/);
    // The shell may not have handed the terminal over yet: then the key is the shell's, and does nothing.
    const shell = (await processes.list()).find(({ id }) => id === started.id)?.pid ?? 0;
    const inFront = () => until("sleep has the terminal", () => isInFront(shell, "sleep 1000"));
    await inFront();
    await screen.type("\x1a");
    await screen.shows(/Stopped\s+sleep 1000\r\n[^]*> /);
    await screen.type("bg\n");
    await screen.shows(/sleep 1000 &\r\n[^]*> /);
    await screen.type("fg\n");
    await screen.shows(/sleep 1000\r\n/);
    await inFront();
    await started.signal("SIGINT"); // goes to the foreground job, as Ctrl-C does
    await screen.shows(/> /);
    await screen.type("exit 5\n");
    assert.equal(await started.wait(), exited(5));
  });

  it(`loses no byte at the end, ${RUNS} times`, async () => {
    for (let run = 0; run < RUNS; run++) {
      const text = await outputOf("exec seq 1 200000");
      assert.is(text.length, SEQ_BYTES, `run ${run}`);
      assert.ok(text.endsWith("\r\n200000\r\n"));
    }
  });

  it("loses no byte that is read late", async () => {
    const started = await start("exec seq 1 3000");
    const stream = started.stdout;
    await until("it has ended", () => true);
    const pid = (await processes.list()).find(({ id }) => id === started.id)?.pid ?? 0;
    await until("it has exited", () => groupMembers(pid).length === 0);
    const text = await readText(stream);
    assert.ok(text.endsWith("\r\n3000\r\n"));
  });

  it("takes a megabyte of any bytes, from a program that reads late", async () => {
    const folder = tempDir();
    const bytes = randomBytes(1024 * 1024);
    const script = `stty raw -echo; echo ready; sleep 0.3; head -c ${bytes.length} > in; echo done`;
    const started = await start(script, { cwd: folder });
    const screen = screenOf(started);
    await screen.shows(/ready/);
    await screen.type(bytes);
    await screen.shows(/done/);
    const sum = await outputOf(`sha256sum < ${join(folder, "in")}`);
    assert.is(sum.slice(0, 64), createHash("sha256").update(bytes).digest("hex"));
  });

  it(`leaves no descriptor and no zombie after ${SPAWNS} of them`, async () => {
    const before = openFiles(process.pid);
    const children = childrenOf(process.pid); // the test's own
    for (let done = 0; done < SPAWNS; done += AT_ONCE) {
      await Promise.all(Array.from({ length: AT_ONCE }, () => outputOf("exit 0")));
    }
    if (name !== "local") return; // of the server tests/session/leaks.test.ts tells
    await until("no child is left", () => childrenOf(process.pid).every((pid) => children.includes(pid)));
    assert.ok(openFiles(process.pid) <= before + 2, `${before} before, ${openFiles(process.pid)} after`);
  });
}

for (const [name, open] of environments) terminalsContract(name, open);

test.run();
