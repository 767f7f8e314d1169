// Limits of a process: that they hold, and that the program notices nothing else of them.
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { oomKillFiles, readOomKills } from "../../src/process/oom.ts";
import { type LimitContext, limitedCommand } from "../../src/process/resource_limits.ts";
import type { ResourceLimits } from "../../src/process/trait.ts";
import { ExecServerError } from "../../src/protocol/error.ts";
import { tempDir } from "../harness/temp.ts";

const MB = 1024 * 1024;
const PATH = "/usr/local/bin:/usr/bin:/bin";
const isRoot = process.getuid?.() === 0;
/** nobody */
const NOBODY = 65534;
/** A limit that no program here notices. */
const WIDE = { cpuSeconds: 1000 };

interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

interface Run extends Partial<LimitContext> {
  /** Instead of /bin/sh: another shell under its name. */
  shell?: string;
  argv0?: string;
  uid?: number | undefined;
}

async function run(limits: ResourceLimits, argv: readonly string[], how: Run = {}): Promise<Ended> {
  const { shell, argv0, uid, cgroupProcsFile } = how;
  const [file = "", ...rest] = argv;
  const env = how.env ?? { PATH };
  const command = { file, argv: [argv0 ?? file, ...rest] };
  const limited = limitedCommand(limits, command, { env, uid, cgroupProcsFile });
  const [name, ...args] = limited.argv;
  const child = spawn(shell ?? limited.file, args, {
    argv0: name,
    cwd: "/",
    env: limited.env,
    stdio: ["ignore", "pipe", "pipe"],
    ...(uid !== undefined && { uid, gid: uid }),
  });
  const texts = Promise.all([textOf(child.stdout), textOf(child.stderr)]);
  const { code, signal } = await endOf(child);
  const [stdout, stderr] = await texts;
  return { code, signal, stdout, stderr };
}

async function textOf(stream: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

function endOf(child: ChildProcess): Promise<Pick<Ended, "code" | "signal">> {
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code, signal) => resolve({ code, signal }));
  });
}

const sh = (script: string, ...args: string[]) => ["/bin/sh", "-c", script, "sh", ...args];

function refusal(action: () => unknown): ExecServerError {
  try {
    action();
  } catch (error) {
    if (error instanceof ExecServerError) return error;
    throw error;
  }
  throw new Error("it was not refused");
}

/** What the program gets, from the kernel: no program of its own kind changes it on the way. */
async function environmentOf(env: Record<string, string>, how: Run = {}): Promise<Record<string, string>> {
  const { stdout, stderr, code } = await run(WIDE, ["/bin/cat", "/proc/self/environ"], { ...how, env });
  assert.is(stderr, "");
  assert.is(code, 0);
  const lines = stdout.split("\0").slice(0, -1).map((line) => /^([^=]*)=([^]*)$/.exec(line));
  return Object.fromEntries(lines.map((line) => [line?.[1] ?? "?", line?.[2] ?? "?"]));
}

async function limitsOf(limits: ResourceLimits, how: Run = {}): Promise<(row: string) => string[]> {
  const { stdout, stderr } = await run(limits, ["/bin/cat", "/proc/self/limits"], how);
  assert.is(stderr, "");
  return (row) => new RegExp(`^${row} +(\\S+) +(\\S+)`, "m").exec(stdout)?.slice(1) ?? [];
}

/** bash as sh (RHEL, Arch), next to what /bin/sh is here. */
const SHELLS = ["/bin/sh", ...["/bin/bash", "/bin/dash", "/bin/busybox"].filter((path) => existsSync(path))];
const hasBash = existsSync("/bin/bash");
const EXTRA = process.env["LIMITS_TEST_SHELL"]; // another shell, by hand
if (EXTRA !== undefined) SHELLS.push(EXTRA);

test("no limits: no wrapper", () => {
  const command = { file: "/bin/true", argv: ["x"] };
  const env = { A: "1" };
  assert.equal(limitedCommand({}, command, { env }), { ...command, env });
  assert.equal(limitedCommand({ openFiles: undefined }, command, { env }), { ...command, env });
});

for (const shell of SHELLS) {
  test(`soft and hard limits, exact, with ${shell}`, async () => {
    const limits = {
      cpuSeconds: 7,
      addressSpaceBytes: 512 * MB + 1023,
      dataBytes: 256 * MB,
      openFiles: 50,
      fileSizeBytes: 1025,
    };
    const of = await limitsOf(limits, { shell });
    assert.equal(of("Max cpu time"), ["7", "8"]);
    assert.equal(of("Max address space"), [String(512 * MB), String(512 * MB)], "rounded down");
    assert.equal(of("Max data size"), [String(256 * MB), String(256 * MB)]);
    assert.equal(of("Max open files"), ["50", "50"]);
    assert.equal(of("Max file size"), ["1024", "1024"], "rounded down");
    const uid = isRoot ? NOBODY : undefined;
    const ofUser = await limitsOf({ processes: 4000 }, { shell, uid });
    assert.equal(ofUser("Max processes"), ["4000", "4000"]);
  });

  test(`what it cannot set, it does not run, with ${shell}`, async () => {
    const folder = tempDir();
    const mark = join(folder, "ran");
    const cgroupProcsFile = join(folder, "gone", "cgroup.procs");
    const ended = await run({}, ["/usr/bin/touch", mark], { shell, cgroupProcsFile });
    assert.is(ended.code, 125);
    assert.not(existsSync(mark));
    // As when the hard limit is lowered between our look and the shell.
    const { file, argv, env } = limitedCommand({ openFiles: 60 }, {
      file: "/usr/bin/touch",
      argv: ["/usr/bin/touch", mark],
    }, { env: { PATH } });
    const inner = spawn("/bin/sh", [
      "-c",
      'ulimit -n 40; prog=$1; shift 2; exec "$prog" "$@"',
      "sh",
      shell === "/bin/sh" ? file : shell,
      ...(shell.endsWith("busybox") ? ["sh", "sh", ...argv.slice(1)] : argv),
    ], { env, stdio: "ignore", ...(isRoot && { uid: NOBODY, gid: NOBODY }) });
    assert.is((await endOf(inner)).code, 125);
    assert.not(existsSync(mark));
  });

  test(`the environment is exactly the one asked for, with ${shell}`, async () => {
    const plain = { PATH, HOME: "/root", A: "1 2\n3", EMPTY: "", lower: "x=y", SECRET_KEY: "k" };
    assert.equal(await environmentOf({}, { shell }), {});
    assert.equal(await environmentOf(plain, { shell }), plain);
    const folder = tempDir();
    const evil = join(folder, "evil.sh");
    writeFileSync(evil, `echo evil; touch ${folder}/ran; exit 3\n`);
    const hostile = {
      ...plain,
      PWD: "/nowhere",
      OLDPWD: "/old",
      SHLVL: "abc",
      _: "under",
      BASH_ENV: evil,
      ENV: evil,
      SHELLOPTS: "xtrace:errexit:noexec",
      BASHOPTS: "extdebug",
      BASH_XTRACEFD: "1",
      PS4: "$(touch /tmp/never)",
      PS1: "$ ",
      IFS: "ulimt-",
      POSIXLY_CORRECT: "1",
      OPTIND: "9",
      PPID: "1",
      UID: "7",
      RANDOM: "4",
      SECONDS: "4",
      LINENO: "4",
      BASH_COMPAT: "nonsense",
      LC_ALL: "xx_XX.UTF-8",
      LANG: "yy",
      LD_LIBRARY_PATH: folder,
      "BASH_FUNC_exec%%": `() { . ${evil}; }`,
      "BASH_FUNC_ulimit%%": "() { :; }",
      "BASH_FUNC_set()": "() { :; }",
      "a.b": "dotted",
      "-i": "dashed",
      "1": "digit",
      " ": "blank",
    };
    assert.equal(await environmentOf(hostile, { shell }), hostile);
    assert.not(existsSync(join(folder, "ran")));
    const of = await limitsOf({ openFiles: 50 }, { shell, env: { ...hostile, LC_ALL: "C" } });
    assert.equal(of("Max open files"), ["50", "50"]);
  });

  test(`no variable that bash knows is changed, with ${shell}`, async () => {
    const names = (await run(WIDE, ["/bin/bash", "-c", "compgen -v; compgen -A setopt; compgen -A shopt"]))
      .stdout.split("\n").filter((name) => /^[A-Za-z_]+$/.test(name));
    assert.ok(names.length > 50);
    const env = Object.fromEntries(names.map((name) => [name, `odd/${name}`]));
    assert.equal(await environmentOf(env, { shell }), env);
  });
}

test("argv[0] is kept: a path, a plain name from PATH, anything", async () => {
  const folder = tempDir();
  const shown = async (argv0: string, env: Record<string, string> = { PATH }) => {
    const file = "/bin/cat";
    return (await run(WIDE, [file, "/proc/self/cmdline"], { argv0, env })).stdout.split("\0")[0];
  };
  assert.is(await shown("/bin/cat"), "/bin/cat");
  assert.is(await shown("cat", { PATH: "/bin" }), "cat");
  if (!hasBash) return;
  writeFileSync(join(folder, "cat"), "#!/bin/sh\necho wrong\n", { mode: 0o755 });
  for (const argv0 of ["other", "-sh", "", "a b\n$(c)'\"", "a=b", "./x", "--", "ünï"]) {
    assert.is(await shown(argv0), argv0);
  }
  assert.is(await shown("cat", { PATH: folder }), "cat", "PATH leads elsewhere");
  assert.is(await shown("cat", { PATH: `.:${PATH}` }), "cat");
  assert.is(await shown("cat", {}), "cat");
});

test("a file with = in its path", async () => {
  const folder = tempDir();
  if (!hasBash) return;
  const file = join(folder, "a=b");
  writeFileSync(file, '#!/bin/sh\necho "$#" "$1"\n', { mode: 0o755 });
  assert.is((await run(WIDE, [file, "A=1"])).stdout, "1 A=1\n");
  assert.is((await run(WIDE, ["/bin/echo", "A=1", "-i", "--"])).stdout, "A=1 -i --\n");
});

if (hasBash) {
  test("the environment is exact with any argv[0] too", async () => {
    const folder = tempDir();
    const evil = join(folder, "evil.sh");
    writeFileSync(evil, `touch ${folder}/ran; exit 3\n`);
    const environments: Record<string, string>[] = [
      {},
      { PATH, HOME: "/root", A: "1 2\n3" },
      { PWD: "/nowhere" },
      { OLDPWD: "/old", _: "under", PS1: "$ ", PS2: "" },
      { SHLVL: "0" },
      { SHLVL: "999", _: "" },
      { LC_ALL: "xx_XX.UTF-8", LANG: "yy", LC_TIME: "C", POSIXLY_CORRECT: "1", PWD: "/", SHLVL: "3" },
      {
        BASH_ENV: evil,
        ENV: evil,
        "BASH_FUNC_exec%%": `() { . ${evil}; }`,
        "BASH_FUNC_unset%%": "() { :; }",
      },
      { "a.b": "dotted", "-i": "dashed", LD_LIBRARY_PATH: folder, LINES: "3", HISTFILE: "/x", TMOUT: "1" },
    ];
    for (const env of environments) assert.equal(await environmentOf(env, { argv0: "renamed" }), env);
    assert.not(existsSync(join(folder, "ran")));
  });

  test("refuses what bash cannot pass on: never a changed environment", async () => {
    const names = (await run(WIDE, ["/bin/bash", "-c", "compgen -v"])).stdout.split("\n").filter((name) =>
      name !== ""
    );
    let passed = 0;
    for (const name of names) {
      const env = { [name]: `odd/${name}` };
      const command = { file: "/bin/cat", argv: ["renamed"] };
      try {
        limitedCommand(WIDE, command, { env });
      } catch (error) {
        assert.ok(error instanceof ExecServerError && error.code === "UNSUPPORTED");
        continue;
      }
      passed++;
      assert.equal(await environmentOf(env, { argv0: "renamed" }), env);
    }
    assert.ok(passed > 5, String(passed));
  });
}

test("the dynamic linker runs nothing before the limits are set", () => {
  const env = {
    LD_PRELOAD: "/evil.so",
    LD_AUDIT: "/evil.so",
    GLIBC_TUNABLES: "x",
    GCONV_PATH: "/evil",
    TOKEN: "secret",
  };
  for (const argv0 of hasBash ? ["/bin/cat", "renamed"] : ["/bin/cat"]) {
    const limited = limitedCommand(WIDE, { file: "/bin/cat", argv: [argv0] }, { env });
    assert.equal(limited.env, { TOKEN: "secret" });
    assert.ok(limited.argv.includes("LD_PRELOAD=/evil.so"), "env(1) sets it");
    assert.not.match(limited.argv.join(" "), "secret", "others can read arguments");
  }
});

test("a script without #! runs as it does without limits", async () => {
  const script = join(tempDir(), "script");
  writeFileSync(script, 'echo "$1 $0"\n', { mode: 0o755 });
  assert.is((await run(WIDE, [script, "x"])).stdout, `x ${script}\n`);
});

test("no start-up file is read, not even from a socket", async () => {
  const folder = tempDir();
  for (const name of [".bashrc", ".profile", ".bash_profile", ".shrc", ".env"]) {
    writeFileSync(join(folder, name), `echo evil; touch ${folder}/ran\n`);
  }
  for (const shell of SHELLS) {
    for (const argv0 of hasBash ? ["/bin/cat", "renamed"] : ["/bin/cat"]) {
      const env = { PATH, HOME: folder, ENV: join(folder, ".env"), SSH_CLIENT: "::1 1 2", SHLVL: "0" };
      const limited = limitedCommand(WIDE, { file: "/bin/cat", argv: [argv0] }, { env });
      // Pipes of Node are sockets: bash takes the one who started it for rshd.
      const child = spawn(shell, limited.argv.slice(1), { argv0: "/bin/sh", env: limited.env });
      const texts = Promise.all([textOf(child.stdout), textOf(child.stderr)]);
      child.stdin.end("said");
      assert.equal(await texts, ["said", ""]);
      assert.not(existsSync(join(folder, "ran")));
    }
  }
});

test("arguments, standard input and pid are the program's own", async () => {
  const args = ["", " ", "a b", "-c", "$(x)", "'\"\\", "\n", "ü"];
  const { stdout } = await run(WIDE, ["/usr/bin/printf", "%s\\0", ...args]);
  assert.equal(stdout.split("\0").slice(0, -1), args);
  const { file, argv, env } = limitedCommand(WIDE, { file: "/bin/cat", argv: ["/bin/cat"] }, {
    env: { PATH },
  });
  const child = spawn(file, argv.slice(1), { env, stdio: ["pipe", "pipe", "inherit"] });
  const text = textOf(child.stdout);
  child.stdin.end("all of it");
  assert.is((await endOf(child)).code, 0);
  assert.is(await text, "all of it");
  const self = limitedCommand(WIDE, { file: "/bin/sh", argv: sh("echo $$").with(0, "x") }, { env: { PATH } });
  const other = spawn(self.file, self.argv.slice(1), { env: self.env, stdio: ["ignore", "pipe", "inherit"] });
  assert.is((await textOf(other.stdout)).trim(), String(other.pid));
});

test("cpuSeconds: SIGXCPU, and SIGKILL for a program that ignores it", async () => {
  const began = performance.now();
  const [busy, stubborn] = await Promise.all([
    run({ cpuSeconds: 1 }, sh("while :; do :; done")),
    run({ cpuSeconds: 1 }, sh("trap '' XCPU; while :; do :; done")),
  ]);
  assert.is(busy.signal, "SIGXCPU");
  assert.is(stubborn.signal, "SIGKILL");
  assert.ok(performance.now() - began < 20_000);
});

const GREEDY = ["/bin/dd", "if=/dev/zero", "of=/dev/null", "bs=200M", "count=1"];

test("addressSpaceBytes, dataBytes: allocations fail", async () => {
  for (const limits of [{ addressSpaceBytes: 64 * MB }, { dataBytes: 64 * MB }]) {
    const { code, stderr } = await run(limits, GREEDY);
    assert.is(code, 1);
    assert.match(stderr, /memory/);
  }
  assert.is((await run({ addressSpaceBytes: 300 * MB, dataBytes: 300 * MB }, GREEDY)).code, 0);
});

test("the least that is allowed is enough for the start", async () => {
  for (const argv0 of hasBash ? ["/bin/true", "renamed"] : ["/bin/true"]) {
    const env = { PATH, LC_ALL: "C.UTF-8", LANG: "xx", PWD: "/" };
    for (
      const limits of [{ addressSpaceBytes: 8 * MB }, { dataBytes: MB }, { openFiles: 16 }, {
        fileSizeBytes: 0,
      }]
    ) {
      const { code, stderr } = await run(limits, ["/bin/true"], { argv0, env });
      assert.equal({ limits, code, stderr }, { limits, code: 0, stderr: "" });
    }
  }
});

test("openFiles: EMFILE", async () => {
  const open = "const fds = []; try { for (;;) fds.push(fs.openSync('/dev/null')); } " +
    "catch (error) { console.log(error.code, Math.max(...fds)); }";
  const { stdout } = await run({ openFiles: 100 }, [process.execPath, "-e", open]);
  assert.is(stdout, "EMFILE 99\n");
});

test("fileSizeBytes: SIGXFSZ", async () => {
  const folder = tempDir();
  const file = join(folder, "file");
  const ended = await run({ fileSizeBytes: 8192 + 511 }, ["/usr/bin/head", "-c", "100000", "/dev/zero"]);
  assert.is(ended.stdout.length, 100_000, "a pipe is no file");
  const copied = await run({ fileSizeBytes: 8192 + 511 }, [
    "/bin/dd",
    "if=/dev/zero",
    `of=${file}`,
    "count=100",
  ]);
  assert.is(copied.signal, "SIGXFSZ");
  assert.is(statSync(file).size, 8192);
});

test("processes: fork fails, for an ordinary user", async () => {
  const uid = isRoot ? NOBODY : undefined;
  const { stdout, stderr } = await run({ processes: 1 }, sh("echo begun; (echo forked)"), { uid });
  assert.is(stdout, "begun\n");
  assert.match(stderr, /fork/);
});

test("processes: refused for root, but not with a cgroup", async () => {
  const folder = tempDir();
  const error = refusal(() =>
    limitedCommand({ processes: 5 }, { file: "/bin/true", argv: ["true"] }, { env: {}, uid: 0 })
  );
  assert.is(error.code, "UNSUPPORTED");
  assert.match(error.message, /root/);
  const cgroupProcsFile = join(folder, "it's cgroup.procs");
  for (const shell of SHELLS) {
    const how = { cgroupProcsFile, shell, ...(isRoot && { uid: 0 }) };
    const { stdout } = await run({ processes: 5 }, sh("echo $$"), how);
    assert.is(readFileSync(cgroupProcsFile, "utf8"), stdout, "it wrote its own pid");
    const limits = await limitsOf({ processes: 5, openFiles: 33 }, how);
    assert.equal(limits("Max open files"), ["33", "33"]);
    assert.not.equal(limits("Max processes"), ["5", "5"]);
  }
});

test("a hard limit of ours that is lower stays", async () => {
  const own = readFileSync("/proc/self/limits", "utf8");
  const hard = /^Max open files +\S+ +(\d+)/m.exec(own)?.[1];
  if (hard === undefined) return;
  const of = await limitsOf({ openFiles: Number(hard) + 1, cpuSeconds: Number.MAX_SAFE_INTEGER });
  assert.equal(of("Max open files"), [hard, hard]);
});

test("values out of range", () => {
  const command = { file: "/bin/true", argv: ["true"] };
  const wrong: ResourceLimits[] = [
    { cpuSeconds: 0 },
    { cpuSeconds: 1.5 },
    { cpuSeconds: -1 },
    { cpuSeconds: Number.NaN },
    { cpuSeconds: Infinity },
    { openFiles: 2 },
    { addressSpaceBytes: 0 },
    { addressSpaceBytes: 2 ** 53 },
    { dataBytes: 100 },
    { processes: 0 },
    { fileSizeBytes: -1 },
  ];
  for (const limits of wrong) {
    const error = refusal(() => limitedCommand(limits, command, { env: {} }));
    assert.equal([error.code, error.rpcCode], ["INVALID_PARAMS", -32602]);
    assert.match(error.message, `limits.${Object.keys(limits)[0]} `);
  }
});

test("where the kernel counts those it killed for want of memory", () => {
  const two = "29 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate";
  assert.equal(oomKillFiles(two, "0::/system.slice/x.service/main\n"), [
    "/sys/fs/cgroup/system.slice/x.service/main/memory.events",
    "/sys/fs/cgroup/system.slice/x.service/memory.events",
    "/sys/fs/cgroup/system.slice/memory.events",
    "/sys/fs/cgroup/memory.events",
    "/proc/vmstat",
  ]);
  const one = "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory";
  const both = "4:cpu,memory:/a/b\n0::/\n";
  assert.equal(oomKillFiles(one, both), ["/sys/fs/cgroup/memory/a/b/memory.oom_control", "/proc/vmstat"]);
  const inContainer = "35 31 0:32 /a /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory";
  assert.equal(oomKillFiles(inContainer, both), [
    "/sys/fs/cgroup/memory/b/memory.oom_control",
    "/proc/vmstat",
  ]);
  assert.equal(oomKillFiles(inContainer, "4:memory:/other\n"), ["/proc/vmstat"]);
  assert.equal(oomKillFiles(one, "4:memory:/../other\n"), ["/proc/vmstat"]);
  assert.equal(oomKillFiles("", ""), ["/proc/vmstat"]);
});

test("reading the count is cheap", () => {
  if (process.platform !== "linux") return;
  const first = readOomKills();
  assert.type(first, "number");
  const began = performance.now();
  for (let i = 0; i < 500; i++) readOomKills();
  assert.ok((performance.now() - began) / 500 < 1, "milliseconds each");
});

test.run();
