// `exec-server shell` in a terminal of ours: size, keys, bytes, escapes, exit codes.
import { Buffer } from "node:buffer";
import { createHash, randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { userInfo } from "node:os";
import { basename, join } from "node:path";
import process from "node:process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { runCli } from "../harness/cli.ts";
import { openTerminal, type OwnTerminal, type TerminalSetup } from "../harness/own_terminal.ts";
import { isInFront, isRunning, until } from "../harness/proc.ts";
import { startServer, type TestServer, urlFile } from "../harness/server.ts";
import { tempDir } from "../harness/temp.ts";

const BASH = ["bash", "--norc", "--noprofile"];
const PROMPT = "> ";
let server: TestServer;

test.before(async () => {
  server = await startServer();
});
test.after(async () => {
  await server.stop();
});

/** A terminal of ours in which the program runs; the terminal must be as before when it has ended. */
async function inTerminal(
  args: readonly string[],
  check: (terminal: OwnTerminal) => Promise<void>,
  setup: TerminalSetup = {},
): Promise<void> {
  const terminal = await openTerminal(args, setup);
  try {
    await check(terminal);
    const { modes: [before, after] } = await terminal.ended;
    assert.is(after, before, "stty -g");
  } finally {
    await terminal.close();
  }
}

test("run --detach says to a person how long the process goes on", () =>
  inTerminal(["run", "--detach", "--url-file", urlFile(server.url), "--", "true"], async (terminal) => {
    await terminal.shows(/goes on; it is ended when nobody attaches for 90 s \(--session-ttl\)\r\n/);
  }));

for (const where of ["local", "remote"] as const) {
  const url = () => where === "local" ? [] : ["--url-file", urlFile(server.url)];
  const it = (title: string, check: () => Promise<void>) => test(`${where}: ${title}`, check);
  const inShell = (
    check: (terminal: OwnTerminal) => Promise<void>,
    flags: string[] = [],
    setup?: TerminalSetup,
  ) =>
    inTerminal(["shell", ...url(), "--env", `PS1=${PROMPT}`, ...flags, "--", ...BASH], async (terminal) => {
      await terminal.shows(PROMPT);
      await check(terminal);
    }, setup);
  const inScript = (
    script: string,
    check: (terminal: OwnTerminal) => Promise<void>,
    flags: string[] = [],
    setup?: TerminalSetup,
  ) => inTerminal(["shell", ...url(), ...flags, "--", "/bin/sh", "-c", script], check, setup);

  it("has the size of our terminal, and follows it", () =>
    inShell(
      async (terminal) => {
        await terminal.type("stty size\r");
        await terminal.shows(/\r33 91\r\n/);
        await terminal.type("trap 'echo changed to $(stty size)' WINCH; echo set\r");
        await terminal.shows(/\rset\r\n[^]*> /);
        await terminal.resize({ rows: 45, cols: 123 });
        await terminal.shows(/changed to 45 123/);
        await terminal.type("exit\r");
      },
      [],
      { size: { rows: 33, cols: 91 } },
    ));

  it("exits with the shell's code", async () => {
    for (const code of [0, 1, 42, 255]) {
      await inShell(async (terminal) => {
        await terminal.type(`exit ${code}\r`);
        assert.is((await terminal.ended).code, code);
      });
    }
    await inScript("kill -TERM $$", async (terminal) => assert.is((await terminal.ended).code, 143));
  });

  it("is a login shell, of our TERM, where the server is, with --cwd and --env", async () => {
    const path = userInfo().shell ?? "/bin/sh";
    const home = tempDir(); // the profile of whoever runs the tests may do anything
    writeFileSync(join(home, ".profile"), "PROFILE=read\n");
    const env = ["--env", "MINE=a=b", "--env", `HOME=${home}`];
    await inTerminal(["shell", ...url(), "--cwd", "/usr/lib", ...env], async (terminal) => {
      await terminal.type('echo "<$0 $TERM $PWD $MINE $PROFILE>"\r');
      await terminal.shows(`<-${basename(path)} vt220 /usr/lib a=b read>\r\n`);
      await terminal.type("exit 3\r");
      assert.is((await terminal.ended).code, 3);
    }, { env: { TERM: "vt220" } });
  });

  it("has job control: Ctrl-Z, fg, Ctrl-C", () =>
    inShell(async (terminal) => {
      await terminal.type("sh -c 'echo st''arted; exec sleep 1000'\r");
      await terminal.shows("started\r\n"); // so it has the terminal
      await terminal.type("\x1a");
      await terminal.shows(/Stopped[^]*> /);
      await terminal.type("fg\r");
      await terminal.shows(/sleep 1000'\r\n/); // said before the job has the terminal
      const program = where === "local" ? await terminal.pid() : server.pid;
      await until("the job has the terminal", () => isInFront(program, "sleep 1000"));
      await terminal.type("\x03");
      await terminal.shows(/\^C[^]*> /);
      await terminal.type("exit 9\r");
      assert.is((await terminal.ended).code, 9);
    }));

  it("leaves every key and every byte as it is", async () => {
    const folder = tempDir();
    const blob = Buffer.concat([Uint8Array.from({ length: 256 }, (_, i) => i), randomBytes(3_000_000)]);
    writeFileSync(join(folder, "blob"), blob);
    const keys = Uint8Array.from({ length: 256 }, (_, i) => i);
    const script = `stty raw -echo; echo ready; head -c 256 | sha256sum; cat ${
      join(folder, "blob")
    }; echo END`;
    await inScript(script, async (terminal) => {
      await terminal.shows("ready\n");
      await terminal.type(keys);
      await terminal.shows(`${createHash("sha256").update(keys).digest("hex")}  -\n`);
      const shown = Buffer.from(await terminal.shows("END\n"), "latin1");
      assert.is(shown.length, blob.length + "END\n".length);
      assert.ok(shown.subarray(0, blob.length).equals(blob), "the bytes differ");
      assert.is((await terminal.ended).code, 0);
    });
  });

  it("takes a pasted megabyte, also when the program reads late", async () => {
    const paste = randomBytes(1024 * 1024);
    const script = `stty raw -echo; echo ready; sleep 0.5; head -c ${paste.length} | sha256sum`;
    await inScript(script, async (terminal) => {
      await terminal.shows("ready");
      await terminal.type(paste);
      await terminal.shows(createHash("sha256").update(paste).digest("hex"));
    }, ["--escape", "none"]);
  });

  it("~. ends the shell and all that came of it", () =>
    inShell(async (terminal) => {
      await terminal.type("setsid sh -c 'echo pid=$$.; exec sleep 1000' &\r");
      const pid = Number(/pid=(\d+)\./.exec(await terminal.shows(/pid=\d+\./))?.[1]);
      await terminal.type("\r~.");
      assert.is((await terminal.ended).code, 129);
      await until("nothing is left", () => !isRunning(pid));
    }));

  it("~? helps, ~~ is a tilde, other characters and none do as they say", async () => {
    await inShell(async (terminal) => {
      await terminal.type("~?");
      await terminal.shows(/~\. +leave[^]*~~ +type ~/);
      await terminal.type("~~\x15echo '~.'\r");
      await terminal.shows(/\r~\.\r\n/);
      await terminal.type("exit 5\r");
      assert.is((await terminal.ended).code, 5);
    });
    await inShell(async (terminal) => {
      await terminal.type("~.\x15\r");
      await terminal.shows(PROMPT);
      await terminal.type("\x1d.");
      assert.is((await terminal.ended).code, 129);
    }, ["--escape", "^]"]);
    await inShell(async (terminal) => {
      await terminal.type("~.\x15exit 6\r");
      assert.is((await terminal.ended).code, 6);
    }, ["--escape", "none"]);
  });

  it("~Ctrl-Z suspends us, and fg comes back", async () => {
    const script = `set -m; bash --norc -i -c 'set -m; "$@"; echo "stopped with $(stty -g)"; fg' bash "$@"`;
    await inScript(
      "echo pid=$$.; read line; exit 8",
      async (terminal) => {
        await terminal.shows(/pid=\d+\./);
        await terminal.type("~\x1a");
        await terminal.shows(/stopped with \S+\r\n/);
        await terminal.type("line\r");
        assert.is((await terminal.ended).code, 8);
      },
      [],
      { script },
    );
  });

  it("brings the terminal back from what a killed program left on, and only from that", async () => {
    const on = "printf '\\033[?1049h\\033[?25l\\033[?2004h\\033[?1000h%s' on";
    await inScript(`${on}; sleep 1000`, async (terminal) => {
      await terminal.shows("\x1b[?1000hon");
      await terminal.signal("SIGTERM");
      const { code, rest } = await terminal.ended;
      assert.is(code, 129);
      assert.match(rest, "\x1b[?25h\x1b[?1000l\x1b[?2004l\x1b[?1049l");
    });
    await inScript(on, async (terminal) => {
      await terminal.shows("\x1b[?1000hon");
      const { code, rest } = await terminal.ended;
      assert.equal([code, rest], [0, ""]);
    });
  });

  it("ends with the program on SIGTERM and SIGHUP", async () => {
    for (const signal of ["SIGTERM", "SIGHUP"] as const) {
      await inShell(async (terminal) => {
        await terminal.signal(signal);
        assert.is((await terminal.ended).code, 129, signal);
      });
    }
  });

  it("says why it cannot start", async () => {
    const cases: [string[], number, RegExp][] = [
      [["--", "no-such-command"], 127, /no-such-command: command not found/],
      [["--cwd", "/missing"], 125, /no such directory there/],
      [["--escape", "abc"], 2, /--escape takes a character/],
    ];
    for (const [args, code, text] of cases) {
      await inTerminal(["shell", ...url(), ...args], async (terminal) => {
        await terminal.shows(text);
        assert.is((await terminal.ended).code, code);
      });
    }
  });
}

test("local: there is no session to leave it in", () =>
  inTerminal(["shell", "--env", `PS1=${PROMPT}`, "--", ...BASH], async (terminal) => {
    await terminal.shows(PROMPT);
    await terminal.type("~d");
    await terminal.shows("not in a session of a server");
    await terminal.type("exit 4\r");
    assert.is((await terminal.ended).code, 4);
  }));

test("a defect of ours restores the terminal, too", async () => {
  const source = new URL("../../src/cli/terminal.ts", import.meta.url);
  const node = `${process.execPath} --import ${import.meta.resolve("tsx")} --input-type=module -e`;
  const crashes = [
    'throw new Error("bo" + "om")',
    'Promise.reject(new Error("bo" + "om"))',
    "process.exit(125)",
  ];
  for (const crash of crashes) {
    const code = `import { rawTerminal } from "${source}"; rawTerminal(() => "un" + "done "); ` +
      `console.log("now "); setTimeout(() => { ${crash}; }, 10);`;
    await inTerminal([], async (terminal) => {
      const screen = await terminal.shows("undone ");
      assert.match(screen, "now \n");
      if (!crash.includes("exit")) await terminal.shows("boom");
      assert.is((await terminal.ended).code, 125);
    }, { script: `${node} '${code}'` });
  }
});

test("without a terminal it says what to use", async () => {
  const { code, stdout, stderr } = await runCli(["shell", "--", "true"], { stdin: "" });
  assert.equal([code, stdout], [2, ""]);
  assert.match(stderr, /standard input is no terminal; use `exec-server run/);
});

test.run();
