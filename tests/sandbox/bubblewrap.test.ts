// The command line of bwrap, run for real: as root and as an ordinary user.
import { execFileSync, spawn, spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable, Writable } from "node:stream";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { bubblewrapCommand, DESCRIPTORS } from "../../src/sandbox/bubblewrap.ts";
import { withDescriptors } from "../../src/sandbox/descriptors.ts";
import { mountProblem } from "../../src/sandbox/mount_check.ts";
import { EXECUTABLE_INSIDE, executableInside } from "../../src/sandbox/mounts.ts";
import type { Plan } from "../../src/sandbox/plan.ts";
import { openStubJournal, stubsBelow } from "../../src/sandbox/stubs.ts";
import { tempDir } from "../harness/temp.ts";
import { at, glob, planFrom, special } from "./policies.ts";
import {
  type Account,
  accounts,
  filterFor,
  inSandbox,
  namesIn,
  requireBwrap,
  script,
  treeOf,
} from "./run.ts";

const read = special("root", "read");
/** As a process gets it. */
const forProcess = (cwd: string) => ({ privateTemp: true, cwd });
const workspace = (W: string, ...more: unknown[]) =>
  planFrom([read, at(W, "write"), ...more], {}, forProcess(W));

test.before(() => void requireBwrap());

function each(name: string, check: (account: Account) => Promise<void>): void {
  for (const account of accounts) test(`${account.name}: ${name}`, () => check(account));
}

each("the root is read-only, the workspace is not", async (account) => {
  const W = treeOf(account, "ws/file", "out");
  const output = await script(
    account,
    await workspace(`${W}/ws`),
    `pwd; cat file; echo new >file; echo new >made; echo x >>${W}/out; echo x >/etc/x; mkdir /usr/x; cat /etc/hostname >/dev/null && echo readable`,
  );
  assert.match(output, `${W}/ws\nws/file\n`);
  assert.match(output, /readable/);
  assert.is(readFileSync(`${W}/ws/made`, "utf8"), "new\n");
  assert.is(readFileSync(`${W}/out`, "utf8"), "out\n");
  assert.is(output.match(/Read-only file system/g)?.length, 2);
});

each("denied files, folders and patterns cannot be read, listed, changed or moved away", async (account) => {
  const W = treeOf(account, "a/.env", "a/b/.env", "secret/in", "plain");
  const plan = await workspace(W, at(`${W}/secret`, "deny"), at(`${W}/plain`, "deny"), glob(`${W}/**/.env`));
  const output = await script(
    account,
    plan,
    `cat plain; cat a/.env; cat a/b/.env; ls secret; cat secret/in; echo x >secret/new; rm plain; mv secret away; chmod 777 secret; ln -s secret/in l; cat l; mv a c; cat c/.env; umount secret; umount -l plain; echo end`,
  );
  assert.not.match(output, /\.env\n|in\n|plain\n$/m);
  assert.match(output, /end\n$/);
  assert.is(output.match(/Permission denied/g)?.length, 7, output);
  assert.match(output, /cannot move 'a'.*busy/);
  assert.is(readFileSync(`${W}/plain`, "utf8"), "plain\n");
  assert.equal(namesIn(`${W}/secret`), ["in"]);
});

each("protected names can be read, not changed, replaced or moved", async (account) => {
  const W = treeOf(account, ".git/config", "sub/.git/config");
  const plan = await workspace(W, at(`${W}/.git`, "read"), at(`${W}/sub/.git`, "read"));
  const output = await script(
    account,
    plan,
    `cat .git/config; echo x >>.git/config; echo x >.git/hook; rm -rf .git; mv .git x; mv sub x; echo end`,
  );
  assert.match(output, /^\.git\/config\n/);
  assert.match(output, /cannot move '\.git'.*busy/);
  assert.match(output, /cannot move 'sub'.*busy/);
  assert.equal(namesIn(W), [".git", "sub"]);
  assert.equal(namesIn(`${W}/.git`), ["config"]);
  assert.is(readFileSync(`${W}/.git/config`, "utf8"), ".git/config\n");
});

each("a protected name that is missing cannot be made, and leaves nothing", async (account) => {
  const W = treeOf(account, "x");
  const folder = tempDir(); // the journal is ours, whoever runs bwrap
  const journal = openStubJournal(folder);
  const plan = await workspace(W, at(`${W}/.codex`, "read"), at(`${W}/hidden`, "deny"));
  const claim = await journal.claim(plan);
  assert.equal(stubsBelow(folder, W).sort(), [`${W}/.codex`, `${W}/hidden`]);
  const output = await script(
    account,
    plan,
    `echo x >.codex/x; rmdir .codex; mv .codex y; ls hidden; echo end`,
  );
  assert.match(output, /Read-only file system/);
  assert.match(output, /Permission denied/);
  assert.equal(namesIn(W), [".codex", "hidden", "x"]);
  await claim?.release();
  await claim?.release();
  assert.equal(namesIn(W), ["x"]);
  assert.equal(stubsBelow(folder, "/"), []);
});

test("a stand-in goes with its last user, after a crash with the next start, and never with something in it", async () => {
  const W = tempDir();
  const folder = tempDir();
  const plan = await workspace(W, at(`${W}/.codex`, "read"));
  const one = openStubJournal(folder);
  const two = openStubJournal(folder);
  const first = await one.claim(plan);
  // It exists now; another server takes it for a folder, and still shares it.
  const second = await two.claim(await workspace(W, at(`${W}/.codex`, "read")));
  await first?.release();
  assert.equal(namesIn(W), [".codex"]);
  await second?.release();
  assert.equal(namesIn(W), []);

  const late = await workspace(W, at(`${W}/.codex`, "read"));
  mkdirSync(`${W}/.codex`);
  const stale = await workspace(W, at(`${W}/.codex`, "read"));
  rmSync(`${W}/.codex`, { recursive: true });
  assert.is(await one.claim(stale), undefined);

  await one.claim(late);
  writeFileSync(join(folder, "stubs.json"), JSON.stringify({ [`${W}/.codex`]: ["999999999:1:x"] }));
  mkdirSync(`${W}/full/x`, { recursive: true });
  await two.sweep();
  assert.equal(namesIn(W), ["full"]);
  writeFileSync(join(folder, "stubs.json"), JSON.stringify({ [`${W}/full`]: ["1:0:x"] }));
  await two.sweep();
  assert.equal(namesIn(W), ["full"]);
  await Promise.all(Array.from({ length: 20 }, async (_, index) => {
    const claim = await (index % 2 === 0 ? one : two).claim(late);
    assert.equal(namesIn(W), [".codex", "full"]);
    await claim?.release();
  }));
  assert.equal(namesIn(W), ["full"]);
});

each("grants below a denial hold, and nothing else of it shows", async (account) => {
  const W = treeOf(account, "d/other", "d/in/deep/file");
  const plan = await workspace(W, at(`${W}/d`, "deny"), at(`${W}/d/in/deep`, "write"));
  const output = await script(
    account,
    plan,
    `ls d; cat d/other; cat d/in/deep/file; echo x >d/in/deep/made; ls -A d/in`,
  );
  assert.match(output, /cannot open directory 'd': Permission denied/);
  assert.match(output, /d\/other: No such file/);
  assert.match(output, /d\/in\/deep\/file\n/);
  assert.ok(existsSync(`${W}/d/in/deep/made`));
});

each("/tmp, /var/tmp and /run are private; TMPDIR is made there", async (account) => {
  const W = treeOf(account, "ws/");
  const mark = `exec-server-private-${account.name}`;
  const plan = await workspace(`${W}/ws`);
  assert.equal([...plan.privateFolders].sort(), ["/run", "/tmp", "/var/tmp"]);
  const result = await inSandbox(account, plan, [
    "/bin/sh",
    "-c",
    `echo x >/tmp/${mark}; echo x >/var/tmp/${mark}; mktemp; ls -A /run; ls ${W}; cat /tmp/${mark}; touch /run/x`,
  ], { env: { PATH: "/usr/bin:/bin", TMPDIR: "/tmp/own" } });
  assert.match(result.stdout, /^\/tmp\/own\/tmp\.\w+\nws\nx\n$/);
  assert.match(result.stderr, /Read-only/);
  assert.not(existsSync(`/tmp/${mark}`) || existsSync(`/var/tmp/${mark}`));
});

each("the network is off: not even the host's loopback; or on", async (account) => {
  const server = createServer((socket) => socket.end("hello")).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const address = server.address();
  const port = typeof address === "object" ? address?.port : 0;
  const connect = `
const s = require("node:net").connect(${port}, "127.0.0.1");
s.on("data", (d) => console.log(String(d))); s.on("error", (e) => console.log(e.code));`;
  const text =
    `echo "flag=$CODEX_SANDBOX_NETWORK_DISABLED"; ${process.execPath} -e '${connect}'; ls /sys/class/net >/dev/null; cat /proc/net/dev | tail -n +3 | cut -d: -f1`;
  const off = await script(account, await planFrom([read], {}, forProcess("/")), text);
  assert.match(off, /flag=1\nECONNREFUSED\n\s*lo\n$/);
  const on = await script(account, await planFrom([read], { network: "enabled" }, forProcess("/")), text);
  assert.match(on, /flag=\nhello\n/);
  server.close();
});

each(
  "no capability, no new privileges, a filter, own processes, and the kernel's settings are out of reach",
  async (account) => {
    const output = await script(
      account,
      await planFrom([special("root", "write")], {}, forProcess("/")),
      `grep -E '^(Cap|NoNew|Seccomp:)' /proc/self/status; ls /proc | grep -c '^[0-9]'; (: >>/proc/sys/kernel/core_pattern) || echo no; (: >>/sys/kernel/mm/ksm/run) || echo no; mount -t tmpfs x /mnt; unshare -U true; mount -o remount,rw /proc/sys; cat /proc/keys; hostname x; id -u`,
    );
    for (const name of ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"]) {
      assert.match(output, new RegExp(`^${name}:\\s+0+$`, "m"));
    }
    assert.match(output, /NoNewPrivs:\s+1/);
    assert.match(output, /Seccomp:\s+2/);
    assert.is(output.match(/^no$/gm)?.length, 2, output);
    assert.match(output, /unshare failed/);
    assert.match(output, new RegExp(`^${account.uid}$`, "m"));
    assert.ok(Number(/^(\d+)$/m.exec(output)?.[1]) < 8);
  },
);

each("only what is granted exists where nothing else is readable", async (account) => {
  const W = treeOf(account, "ws/file", "other", "link -> ws");
  const plan = await planFrom(
    [special("minimal", "read"), at(`${W}/link`, "write")],
    {},
    { privateTemp: true, cwd: `${W}/ws` },
  );
  const output = await script(
    account,
    plan,
    `cat ${W}/link/file; ls ${W}; ls /home; ls /root; ls /; echo x >/made; echo x >/tmp/made && cat /tmp/made; ls /bin/sh; id -u`,
  );
  assert.match(output, /^ws\/file\nlink\nws\n/);
  assert.match(output, /'\/home': No such file/);
  assert.match(output, /made: Read-only file system/);
  assert.match(output, /\/bin\/sh\n/);
  assert.not.match(output, /other|^work$|^srv$/m);
  await assert.throws(
    () => bubblewrapCommand({ ...plan, rules: [], links: [] }, optionsFor("true")),
    /add `minimal`/,
  );
});

function optionsFor(file: string) {
  return {
    bwrap: requireBwrap(),
    program: { file, argv: [file] },
    env: {},
    descriptors: { ...DESCRIPTORS, go: undefined },
    terminal: false,
  };
}

each("our executable is visible, and cannot be replaced", async (account) => {
  const W = treeOf(account, "dist/");
  execFileSync("cp", ["/usr/bin/env", `${W}/dist/exe`]);
  const executable = `${W}/dist/exe`;
  const plan = await planFrom([read, at(W, "write")], {}, { ...forProcess(W), protect: [executable] });
  assert.is(executableInside(plan, executable), EXECUTABLE_INSIDE);
  const result = await inSandbox(account, plan, [
    "/bin/sh",
    "-c",
    `exec 2>&1; ${EXECUTABLE_INSIDE} echo runs; echo x >dist/exe; rm dist/exe; mv dist d; rm ${EXECUTABLE_INSIDE}; echo x >${EXECUTABLE_INSIDE}`,
  ], { executable });
  assert.match(result.stdout, /^runs\n/);
  assert.is(
    result.stdout.match(/Read-only|busy|Permission denied|Text file busy/g)?.length,
    5,
    result.stdout,
  );
  assert.equal(namesIn(`${W}/dist`), ["exe"]);
  const full = await planFrom([special("root", "write")], {}, forProcess(W));
  assert.is(executableInside(full, executable), executable);
});

each("the program gets exactly its environment, argv and exit code", async (account) => {
  const plan = await planFrom([read], {}, forProcess("/"));
  const env = {
    PATH: "/usr/bin:/bin",
    "npm_config_//h/:_token": "s3cret",
    LD_LIBRARY_PATH: "/nonexistent",
    PWD: "/not/here",
    IFS: "x",
    EMPTY: "",
    LINES: "two\nlines",
    "BASH_FUNC_printf%%": "() { echo hacked; }",
    EXEC_SERVER_VARIABLE_0: "mine",
  };
  const result = await inSandbox(account, plan, ["/usr/bin/env", "-0"], { env });
  const got = Object.fromEntries(
    result.stdout.split("\0").filter(Boolean).map((line) => [
      line.slice(0, line.indexOf("=")),
      line.slice(line.indexOf("=") + 1),
    ]),
  );
  assert.equal(got, { ...env, CODEX_SANDBOX_NETWORK_DISABLED: "1" });
  const code = await inSandbox(account, plan, [
    "/bin/sh",
    "-c",
    'printf "%s|" "$0" "$@"; exit 42',
    "a b",
    "",
    "$x",
  ]);
  assert.equal([code.stdout, code.code, code.executed, code.ready], ["a b||$x|", 42, true, true]);
  const killed = await inSandbox(account, plan, ["/bin/sh", "-c", "kill -TERM $$"]);
  assert.is(killed.code, 143);
});

each("what is secret is neither in the arguments nor in the environment of bwrap", async (account) => {
  const plan = await planFrom([read], {}, forProcess("/"));
  const mark = `mark-${account.name}-${process.pid}`;
  const env = { PATH: "/usr/bin:/bin", TOKEN: "s3cret-value", LD_PRELOAD: "/s3cret.so" };
  const running = inSandbox(account, plan, ["/bin/sh", "-c", "sleep 0.6", mark], { env });
  await new Promise((resolve) => setTimeout(resolve, 300));
  const outer = readdirSync("/proc").filter((pid) => /^\d+$/.test(pid)).map((pid) => {
    try {
      const argv = readFileSync(`/proc/${pid}/cmdline`, "utf8");
      return { argv, environ: readFileSync(`/proc/${pid}/environ`, "utf8") };
    } catch {
      return { argv: "", environ: "" };
    }
  }).filter(({ argv }) => argv.includes(mark) && argv.includes("--args"));
  assert.is(outer.length, 2); // bwrap, and bwrap as init
  for (const { argv, environ } of outer) {
    assert.not.match(argv + environ, /s3cret/);
  }
  assert.is((await running).code, 0);
});

each("a sandbox that cannot be made says so: no ready byte, no exit code in the status", async (account) => {
  const W = treeOf(account, "gone/");
  const plan = await workspace(`${W}/gone`);
  rmSync(`${W}/gone`, { recursive: true });
  const result = await inSandbox(account, plan, ["/bin/echo", "ran"]);
  assert.equal([result.executed, result.ready, result.stdout, result.code], [false, false, "", 1]);
  const missing = await inSandbox(account, await planFrom([read], {}, forProcess("/")), ["/nonexistent"]);
  assert.equal([missing.executed, missing.ready, missing.code], [true, true, 127]);
});

each("a terminal stays the program's own: job control, and nobody else's", async (account) => {
  const W = treeOf(account, "ws/");
  const plan = await workspace(`${W}/ws`);
  const command = bubblewrapCommand(plan, {
    ...optionsFor("/bin/bash"),
    program: {
      file: "/bin/bash",
      argv: [
        "bash",
        "--norc",
        "-ic",
        "tty >/dev/null && echo tty; exec 9</dev/tty && echo controlling; sleep 0.1 & fg; jobs; echo end",
      ],
    },
    env: { PATH: "/usr/bin:/bin", TERM: "dumb" },
    terminal: true,
  });
  writeFileSync(`${W}/options`, command.options);
  writeFileSync(`${W}/filter`, filterFor(plan));
  for (const name of ["status", "ready"]) writeFileSync(`${W}/${name}`, "", { mode: 0o666 });
  const argv = withDescriptors(command.argv, [
    { fd: DESCRIPTORS.options, path: `${W}/options`, direction: "read" },
    { fd: DESCRIPTORS.seccomp, path: `${W}/filter`, direction: "read" },
    { fd: DESCRIPTORS.status, path: `${W}/status`, direction: "write" },
    { fd: DESCRIPTORS.ready, path: `${W}/ready`, direction: "write" },
  ]);
  if (process.getuid?.() === 0) execFileSync("chown", ["-R", `${account.uid}`, W]);
  const quoted = [...account.prefix, ...argv].map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ");
  const run = spawnSync("script", ["-qec", quoted, "/dev/null"], {
    encoding: "utf8",
    env: {},
    timeout: 20_000,
  });
  assert.match(run.stdout, /tty\r\ncontrolling\r\n\[1\] \d+\r\nsleep 0.1\r\nend\r\n/);
  assert.not.match(run.stdout, /no job control/);
  assert.is(readFileSync(`${W}/ready`, "utf8"), "1");
  assert.match(readFileSync(`${W}/status`, "utf8"), /"exit-code": 0/);
});

each("nothing is left: no mounts, processes, files", async (account) => {
  const W = treeOf(account, "ws/.git/", "ws/d/");
  const journal = openStubJournal(tempDir());
  const mounts = readFileSync("/proc/self/mountinfo", "utf8");
  const plan: Plan = await workspace(
    `${W}/ws`,
    at(`${W}/ws/.git`, "read"),
    at(`${W}/ws/d`, "deny"),
    at(`${W}/ws/.aws`, "read"),
  );
  const temp = namesIn("/tmp").length;
  for (let run = 0; run < 20; run++) {
    const claim = await journal.claim(plan);
    // A daemon that outlives its parent ends with the sandbox.
    const result = await inSandbox(account, plan, [
      "/bin/sh",
      "-c",
      "setsid sleep 600 >/dev/null 2>&1 & exit 3",
    ]);
    assert.is(result.code, 3);
    await claim?.release();
  }
  assert.is(readFileSync("/proc/self/mountinfo", "utf8"), mounts);
  assert.equal(namesIn(`${W}/ws`), [".git", "d"]);
  assert.ok(namesIn("/tmp").length <= temp + 2, tmpdir());
});

function mountinfoOf(pid: string | undefined): string {
  try {
    return readFileSync(`/proc/${pid}/mountinfo`, "utf8");
  } catch {
    return ""; // it has ended: bwrap refused
  }
}

/** Starts one that waits, and looks at its mounts while it does. */
async function standing(account: Account, plan: Plan, before: () => void, go: string): Promise<{
  problem: string | undefined;
  output: string;
}> {
  const command = bubblewrapCommand(plan, {
    ...optionsFor("/bin/sh"),
    program: { file: "/bin/sh", argv: ["/bin/sh", "-c", "echo ran"] },
    descriptors: DESCRIPTORS,
  });
  before();
  const [file = "", ...args] = [...account.prefix, ...command.argv];
  const pipes = Array.from({ length: 6 }, () => "pipe" as const);
  const child = spawn(file, args, { env: {}, stdio: ["ignore", ...pipes, "pipe"] });
  const streams: readonly (Readable | Writable | null | undefined)[] = child.stdio;
  for (const stream of streams) stream?.on("error", () => {}); // it ended first
  const [, out, , options, filter, status, ready, goOn] = streams;
  if (!(options instanceof Writable) || !(filter instanceof Writable) || !(goOn instanceof Writable)) {
    throw new Error();
  }
  if (!(status instanceof Readable) || !(ready instanceof Readable) || !(out instanceof Readable)) {
    throw new Error();
  }
  options.end(command.options);
  filter.end(filterFor(plan));
  let output = "";
  out.on("data", (text) => output += text);
  const closed = new Promise((resolve) => child.once("close", resolve));
  const first = await new Promise<string>((resolve) => {
    status.once("data", (text) => resolve(String(text)));
    status.once("end", () => resolve(""));
  });
  await new Promise((resolve) => ready.once("data", resolve).once("end", resolve));
  const pid = /"child-pid": (\d+)/.exec(first)?.[1];
  const inside = mountinfoOf(pid);
  goOn.end(go);
  await closed;
  return { problem: mountProblem(plan, inside, readFileSync("/proc/self/mountinfo", "utf8")), output };
}

each(
  "the mounts of a sandbox are those of its plan, and the program waits until that is known",
  async (account) => {
    const W = treeOf(account, "ws/a b/.git/", "ws/d/in/", "ws/secret", "ws/x/.env", "other/");
    const ws = `${W}/ws`;
    const entries = [
      at(ws, "write"),
      at(`${ws}/a b/.git`, "read"),
      at(`${ws}/d`, "deny"),
      at(`${ws}/d/in`, "write"),
      at(`${ws}/secret`, "deny"),
      at(`${ws}/.codex`, "read"),
      glob(`${ws}/**/.env`),
    ];
    const roots = [[read], [special("root", "write")], [special("minimal", "read")]];
    for (const root of roots) {
      const plan = await planFrom([...root, ...entries], {}, forProcess(ws));
      const fine = await standing(account, plan, () => {}, "go\n");
      assert.equal(fine, { problem: undefined, output: "ran\n" });
      rmSync(`${ws}/.codex`, { recursive: true });
    }
    const plan = await planFrom([read, ...entries], {}, forProcess(ws));
    assert.equal(await standing(account, plan, () => {}, ""), { problem: undefined, output: "" });
    rmSync(`${ws}/.codex`, { recursive: true });
  },
);

each(
  "a link that takes the place of a folder after the plan was made is found out before the program runs",
  async (account) => {
    for (const access of ["read", "write", "deny"]) {
      const W = treeOf(account, "ws/a/b/.git/", "other/b/.git/");
      const rule = access === "write" ? at(`${W}/ws/a/b/.git`, "read") : at(`${W}/ws/a`, access);
      const plan = await planFrom([read, at(`${W}/ws`, "write"), rule], {}, { cwd: "/" });
      const swap = () => {
        renameSync(`${W}/ws/a`, `${W}/ws/moved`);
        symlinkSync("../other", `${W}/ws/a`);
      };
      const { problem } = await standing(account, plan, swap, "");
      assert.match(problem ?? "", "/a", access);
    }
  },
);

test.run();
