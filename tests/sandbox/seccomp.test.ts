// The seccomp filter: as a program that is evaluated here call by call, and in the kernel under bubblewrap.
import { Buffer } from "node:buffer";
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { bunCompiler } from "../../scripts/bun_compiler.ts";
import { sealedDescriptor } from "../../src/runtime/memfd.ts";
import { findBwrap } from "../../src/sandbox/find_bwrap.ts";
import { seccompFilter, type SeccompOptions } from "../../src/sandbox/seccomp.ts";
import { Assembler } from "../../src/sandbox/seccomp_assembler.ts";
import {
  type FilterArch,
  type SyscallName,
  syscallNumber,
  SYSCALLS,
} from "../../src/sandbox/seccomp_syscalls.ts";
import { tempDir } from "../harness/temp.ts";
import { OTHER_SYSCALLS, syscallNumbersOf } from "./attacks/syscalls.ts";

const ARCHES = ["x64", "arm64"] as const;
const AUDIT: Record<FilterArch, number> = { x64: 0xc000003e, arm64: 0xc00000b7 };
const OFF = { network: false, nestedNamespaces: false } as const;
const HIGH = 1n << 32n;

interface Call {
  arch: number;
  number: number;
  args: readonly bigint[];
}

/** Does what the kernel does with a filter (net/core/filter.c, kernel/seccomp.c), for the instructions we use. */
function evaluate(program: Uint8Array, call: Call): string {
  const data = new DataView(new ArrayBuffer(64));
  data.setUint32(0, call.number, true);
  data.setUint32(4, call.arch, true);
  call.args.forEach((value, index) => data.setBigUint64(16 + 8 * index, BigInt.asUintN(64, value), true));
  const code = new DataView(program.buffer, program.byteOffset, program.byteLength);
  let accumulator = 0;
  for (let at = 0; at < program.length;) {
    const jumpTrue = 8 * code.getUint8(at + 2), jumpFalse = 8 * code.getUint8(at + 3);
    const constant = code.getUint32(at + 4, true);
    const opcode = code.getUint16(at, true);
    at += 8;
    if (opcode === 0x20) accumulator = data.getUint32(constant, true);
    else if (opcode === 0x54) accumulator = (accumulator & constant) >>> 0;
    else if (opcode === 0x06) return verdictOf(constant);
    else if (opcode === 0x15) at += accumulator === constant ? jumpTrue : jumpFalse;
    else if (opcode === 0x35) at += accumulator >= constant ? jumpTrue : jumpFalse;
    else if (opcode === 0x45) at += (accumulator & constant) !== 0 ? jumpTrue : jumpFalse;
    else throw new Error(`unknown instruction ${opcode.toString(16)}`);
  }
  throw new Error("the program ran off its end");
}

function verdictOf(value: number): string {
  if (value === 0x7fff0000) return "allow";
  if (value === 0x80000000) return "kill";
  if (value === 0x00050001) return "EPERM";
  if (value === 0x00050026) return "ENOSYS";
  return value.toString(16);
}

/** Evaluates calls by name; undefined where the architecture does not have it. */
function filterOf(arch: FilterArch, options: Omit<SeccompOptions, "arch"> = OFF) {
  const program = seccompFilter({ ...options, arch });
  const numbers = syscallNumbersOf(arch);
  const of = (number: number, ...args: (number | bigint)[]) =>
    evaluate(program, { arch: AUDIT[arch], number, args: args.map(BigInt) });
  return {
    program,
    of,
    call: (name: string, ...args: (number | bigint)[]) => {
      const number = numbers[name];
      return number === undefined ? undefined : of(number, ...args);
    },
  };
}

const word = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n });
const args = fc.tuple(word, word, word, word, word, word);

const REFUSED: readonly SyscallName[] = [
  ...[
    "mount",
    "umount2",
    "pivot_root",
    "chroot",
    "setns",
    "open_tree",
    "move_mount",
    "fsopen",
    "fsconfig",
  ] as const,
  ...["fsmount", "fspick", "mount_setattr", "open_tree_attr", "io_uring_setup", "io_uring_enter"] as const,
  ...[
    "io_uring_register",
    "bpf",
    "keyctl",
    "add_key",
    "request_key",
    "perf_event_open",
    "kexec_load",
  ] as const,
  ...[
    "kexec_file_load",
    "init_module",
    "finit_module",
    "delete_module",
    "reboot",
    "swapon",
    "swapoff",
  ] as const,
  ...[
    "userfaultfd",
    "quotactl",
    "quotactl_fd",
    "name_to_handle_at",
    "open_by_handle_at",
    "syslog",
    "acct",
  ] as const,
  ...[
    "settimeofday",
    "clock_settime",
    "sethostname",
    "setdomainname",
    "iopl",
    "ioperm",
    "lookup_dcookie",
  ] as const,
  ...["nfsservctl", "vhangup", "kcmp"] as const,
];

for (const arch of ARCHES) {
  const { call, of, program } = filterOf(arch);

  test(`${arch}: the kernel would take it`, () => {
    assert.is(program.length % 8, 0);
    assert.ok(program.length / 8 <= 4096);
    const view = new DataView(program.buffer);
    for (let at = 0; at < program.length; at += 8) {
      const code = view.getUint16(at, true), constant = view.getUint32(at + 4, true);
      assert.ok([0x20, 0x54, 0x06, 0x15, 0x35, 0x45].includes(code), `instruction ${code}`);
      if (code === 0x20) assert.ok(constant % 4 === 0 && constant < 64, `load ${constant}`);
      if ((code & 7) === 5) {
        for (const jump of [view.getUint8(at + 2), view.getUint8(at + 3)]) {
          assert.ok(at / 8 + 1 + jump < program.length / 8, "a jump leaves the program");
        }
      }
    }
  });

  test(`${arch}: what is not named is allowed, whatever its arguments`, () => {
    const named = new Set(Object.keys(SYSCALLS).map((name) => syscallNumbersOf(arch)[name]));
    fc.assert(fc.property(fc.integer({ min: 0, max: 600 }), args, (number, values) => {
      fc.pre(!named.has(number));
      assert.is(of(number, ...values), "allow");
    }));
    for (const name of Object.keys(OTHER_SYSCALLS)) assert.is(call(name), "allow", name);
  });

  test(`${arch}: what is refused is refused, whatever its arguments`, () => {
    fc.assert(
      fc.property(fc.constantFrom(...REFUSED), args, (name, values) => {
        assert.ok([undefined, "EPERM"].includes(call(name, ...values)), name);
      }),
      { numRuns: 1000 },
    );
    for (const name of REFUSED) assert.ok([undefined, "EPERM"].includes(call(name)), name);
    assert.is(call("clone3", 0, 88), "ENOSYS");
    assert.is(call("openat2"), "ENOSYS");
  });

  test(`${arch}: other architectures are killed`, () => {
    fc.assert(fc.property(fc.integer({ min: 0, max: 0xffffffff }), fc.nat(600), (other, number) => {
      fc.pre(other !== AUDIT[arch]);
      assert.is(evaluate(program, { arch: other, number, args: [] }), "kill");
    }));
    for (const other of [0x40000003, 0xc000003e, 0xc00000b7, 0x40000028]) { // i386, x86-64, arm64, arm
      if (other !== AUDIT[arch]) assert.is(evaluate(program, { arch: other, number: 1, args: [] }), "kill");
    }
  });

  test(`${arch}: no new namespaces`, () => {
    const flags = [0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000];
    for (const flag of flags) {
      for (const rest of [0, 17, 0x50f00]) {
        assert.is(call("clone", flag | rest), "EPERM");
        assert.is(call("unshare", flag | rest), "EPERM");
        assert.is(call("clone", HIGH | BigInt(flag | rest)), "EPERM");
      }
    }
    assert.is(call("unshare", 0x80), "EPERM", "a time namespace");
    assert.is(call("clone", 0x80 | 0x100), "allow", "a signal, not a time namespace");
    assert.is(call("clone", 0x3d0f00), "allow", "a thread as glibc makes it");
    assert.is(call("clone", 0x4111), "allow", "vfork");
    assert.is(call("clone", 0x1200011), "allow", "fork");
    assert.is(call("unshare", 0x600), "allow", "CLONE_FS and CLONE_FILES");
  });

  test(`${arch}: nothing is typed into a terminal`, () => {
    for (const request of [0x5412, 0x541c]) {
      assert.is(call("ioctl", 0, request), "EPERM");
      assert.is(call("ioctl", 0, HIGH | BigInt(request)), "EPERM", "bits that the kernel ignores");
      assert.is(call("ioctl", 0, -(1n << 32n) | BigInt(request)), "EPERM");
    }
    for (const request of [0x5401, 0x5410, 0x5413, 0x540e]) assert.is(call("ioctl", 0, request, 1), "allow");
  });

  test(`${arch}: no set-uid files`, () => {
    const mode = fc.integer({ min: 0, max: 0o177777 });
    fc.assert(fc.property(mode, word, (value, junk) => {
      const wanted = (value & 0o4000) !== 0 ? "EPERM" : "allow";
      const dirty = (junk & ~0xffffffffn) | BigInt(value);
      const is = (name: string, ...values: (number | bigint)[]) =>
        assert.ok([undefined, wanted].includes(call(name, ...values)), name);
      is("chmod", 1, dirty);
      is("fchmod", 1, dirty);
      is("fchmodat", 1, 2, dirty);
      is("fchmodat2", 1, 2, dirty, 0);
      is("creat", 1, dirty);
      is("mknod", 1, dirty, 0);
      is("mknodat", 1, 2, dirty, 0);
      is("open", 1, 0o100, dirty);
      is("openat", 1, 2, 0o100, dirty);
      is("openat", 1, 2, 0o20200002, dirty);
    }));
    for (const flags of [0, 2, 0o200000, 0o2000000, 0o1000]) {
      assert.is(call("openat", 1, 2, flags, 0o7777), "allow", "the mode is whatever the register held");
      assert.ok([undefined, "allow"].includes(call("open", 1, flags, 0o7777)));
    }
  });

  test(`${arch}: sockets`, () => {
    for (const [name, options] of Object.entries({ off: OFF, on: { ...OFF, network: true } })) {
      const { call } = filterOf(arch, options);
      for (const type of [1, 2, 1 | 0o2000000]) {
        assert.is(call("socket", 2, type, 0), "allow", "IPv4: a server on the own loopback has to work");
        assert.is(call("socket", 10, type, 0), "allow", "IPv6");
        assert.is(call("socket", 1, type, 0), name === "on" ? "allow" : "EPERM", "unix");
      }
      assert.is(call("socket", 16, 3, 0), "allow", "the list of interfaces");
      for (let protocol = 1; protocol < 40; protocol++) assert.is(call("socket", 16, 3, protocol), "EPERM");
      for (let family = 0; family < 64; family++) {
        if (![1, 2, 10, 16].includes(family)) {
          assert.is(call("socket", family, 1, 0), "EPERM", `family ${family}`);
        }
      }
      assert.is(call("socketpair", 1, 1, 0), "allow");
      assert.is(call("socketpair", 1, 5 | 0o2004000, 0), "allow");
      assert.is(
        call("socketpair", 1, 2, 0),
        name === "on" ? "allow" : "EPERM",
        "datagrams can be sent elsewhere",
      );
      assert.is(
        call("socketpair", 1, 3, 0),
        name === "on" ? "allow" : "EPERM",
        "the kernel's other name for them",
      );
      assert.is(call("socketpair", 30, 1, 0), "EPERM");
    }
    assert.is(filterOf(arch, { ...OFF, unixSockets: true }).call("socket", 1, 1, 0), "allow");
    assert.is(filterOf(arch, { ...OFF, network: true, unixSockets: false }).call("socket", 1, 1, 0), "EPERM");
    assert.is(call("socket", HIGH | 1n, 1, 0), "EPERM", "bits that the kernel ignores");
  });

  test(`${arch}: nested namespaces, when asked for`, () => {
    const nested = filterOf(arch, { ...OFF, nestedNamespaces: true });
    for (const name of ["mount", "umount2", "pivot_root", "chroot", "sethostname"]) {
      assert.is(nested.call(name), "allow", name);
    }
    assert.is(nested.call("clone", 0x10000011), "allow");
    assert.is(nested.call("unshare", 0x10000000), "allow");
    assert.is(nested.call("fsopen"), "ENOSYS", "libmount falls back");
    for (const name of ["setns", "bpf", "keyctl", "io_uring_setup", "open_by_handle_at"]) {
      assert.is(nested.call(name), "EPERM", name);
    }
    assert.is(nested.call("ioctl", 0, 0x5412), "EPERM");
  });
}

test("x64: x32 is unknown", () => {
  const { of } = filterOf("x64");
  for (const number of [0x40000000, 0x40000027, 0x40000200, 0x7fffffff, 0xffffffff]) {
    assert.is(of(number), "ENOSYS");
  }
});

test("the numbers are those of the machine's headers", () => {
  const headers = {
    x64: "/usr/include/x86_64-linux-gnu/asm/unistd_64.h",
    arm64: "/usr/include/asm-generic/unistd.h",
  };
  for (const arch of ARCHES) {
    if (!existsSync(headers[arch])) continue;
    const text = readFileSync(headers[arch], "utf8");
    for (const name of [...Object.keys(SYSCALLS), ...Object.keys(OTHER_SYSCALLS)]) {
      const found = new RegExp(`#define __NR(?:3264)?_${name}\\s+(\\d+)$`, "m").exec(text)?.[1];
      if (found !== undefined) assert.is(syscallNumbersOf(arch)[name], Number(found), `${arch} ${name}`);
    }
  }
  assert.is(syscallNumber("chmod", "arm64"), undefined);
});

test("the assembler refuses what the kernel would", () => {
  const program = (build: (code: Assembler) => void) => () => {
    const code = new Assembler();
    build(code);
    return code.bytes();
  };
  assert.throws(program(() => {}), /0 instructions/);
  assert.throws(program((code) => code.load(0)), /does not end/);
  assert.throws(
    program((code) => {
      code.jump("equal", 1, "nowhere");
      code.verdict(0);
    }),
    /no label/,
  );
  const far = (distance: number) =>
    program((code) => {
      code.jump("equal", 1, "far");
      for (let count = 0; count < distance; count++) code.verdict(0);
      code.place("far");
      code.verdict(0);
    });
  assert.is(far(255)().length, 257 * 8);
  assert.throws(far(256), /out of reach/);
  assert.throws(
    program((code) => {
      code.place("back");
      code.jump("equal", 1, "back");
      code.verdict(0);
    }),
    /out of reach/,
  );
  assert.throws(
    program((code) => {
      code.place("twice");
      code.verdict(0);
      code.place("twice");
    }),
    /taken/,
  );
});

const bwrap = findBwrap();

test("the kernel enforces it, through a descriptor without a file", () => {
  if (!("path" in bwrap)) return assert.unreachable("bubblewrap is not installed");
  const arch = process.arch === "arm64" ? "arm64" : "x64";
  const { call } = filterOf(arch);
  const numbers = syscallNumbersOf(arch);
  // Harmless arguments: each call fails in the kernel too, but with another error.
  const cases: [name: string, ...args: number[]][] = [
    ...REFUSED.filter((name) => name in numbers).map((name): [string] => [name]),
    ["clone3", 0, 0],
    ["openat2"],
    ["ioctl", -1, 0x5412],
    ["ioctl", -1, 0x541c],
    ["ioctl", -1, 0x5413],
    ["unshare", 0x10000000],
    ["unshare", 0],
    ["clone", 0x20000],
    ["fchmod", -1, 0o4755],
    ["fchmod", -1, 0o755],
    ["socket", 1, 1, 0],
    ["socket", 17, 3, 0],
    ["socket", 16, 3, 9],
    ["socket", 2, 1, 0],
    ["socketpair", 1, 2, 0, 0],
    ["socketpair", 1, 1, 0, 0],
    ["getpid"],
  ];
  const script = cases.map(([name, ...values]) =>
    `$! = 0; my $r${name} = syscall(${
      [numbers[name], ...values].join(", ")
    }); print "${name} ", $! + 0, "\\n";`
  ).map((line) => `{ ${line} }`).join("\n");
  const filter = sealedDescriptor(seccompFilter({ ...OFF, arch }));
  assert.ok(filter);
  const result = spawnSync(bwrap.path, [
    ...["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--unshare-user", "--unshare-pid"],
    ...["--cap-drop", "ALL", "--die-with-parent", "--seccomp", "3", "--", "/usr/bin/perl", "-e", script],
  ], { encoding: "utf8", timeout: 20_000, stdio: ["ignore", "pipe", "pipe", filter.fd] });
  filter.close();
  assert.is(result.stderr, "");
  const lines = result.stdout.trim().split("\n");
  assert.is(lines.length, cases.length);
  cases.forEach(([name, ...values], index) => {
    const errno = Number(lines[index]?.split(" ")[1]);
    const wanted = call(name, ...values.map((value) => BigInt(value)));
    const said = `${name}(${values.join(", ")}) gave ${errno}, the filter says ${wanted}`;
    if (wanted === "EPERM") assert.is(errno, 1, said);
    else if (wanted === "ENOSYS") assert.is(errno, 38, said);
    else assert.ok(errno !== 1 && errno !== 38, said);
  });
});

test("a descriptor for a child: every child reads all of it, and nothing stays on disk", () => {
  const folder = join(process.env["TMPDIR"] ?? "/tmp");
  const before = readdirSync(folder);
  const bytes = Buffer.alloc(200_000, "bytes ");
  for (let time = 0; time < 2; time++) {
    const one = sealedDescriptor(bytes);
    assert.ok(one);
    assert.equal(readdirSync(folder), before);
    const read = execFileSync("/bin/sh", ["-c", "cat <&3"], { stdio: ["ignore", "pipe", "inherit", one.fd] });
    assert.ok(read.equals(bytes));
    const write = spawnSync("/bin/sh", ["-c", "echo x >&3"], {
      stdio: ["ignore", "ignore", "ignore", one.fd],
    });
    assert.is.not(write.status, 0, "it cannot be written");
    const inherited = execFileSync("/bin/sh", ["-c", "ls -l /proc/self/fd"], { encoding: "utf8" });
    assert.not.match(inherited, /exec-server/, "a child gets it only when it is handed on");
    one.close();
    one.close();
  }
});

test("under Bun it is sealed memory", () => {
  const folder = tempDir();
  const script = join(folder, "script.ts");
  const source = fileURLToPath(new URL("../../src/runtime/memfd.ts", import.meta.url));
  mkdirSync(join(folder, "tmp"));
  writeFileSync(
    script,
    `
import { readdirSync, readlinkSync, writeSync, openSync } from "node:fs";
import { sealedDescriptor } from ${JSON.stringify(source)};
const bytes = new TextEncoder().encode("sealed\\n");
const refused = (action) => { try { action(); return "allowed"; } catch (error) { return error.code; } };
for (let time = 0; time < 2; time++) {
  const one = sealedDescriptor(bytes);
  const stdio = ["ignore", "inherit", "inherit", one.fd, "ignore"];
  while (stdio.length <= one.fd) stdio.push(stdio.length === one.fd ? one.fd : "ignore");
  console.log(readlinkSync("/proc/self/fd/" + one.fd), refused(() => writeSync(one.fd, "x")));
  const again = refused(() => writeSync(openSync("/proc/self/fd/" + one.fd, "r+"), "x"));
  await Bun.spawn({ cmd: ["/bin/sh", "-c", "cat <&3"], cwd: "/", env: {}, stdio }).exited;
  console.log(again, readdirSync(process.env.TMPDIR).length);
  one.close();
}
const own = sealedDescriptor(bytes);
const same = ["ignore", "inherit", "inherit"];
while (same.length < own.fd) same.push("ignore");
await Bun.spawn({ cmd: ["/bin/sh", "-c", "cat <&" + own.fd], cwd: "/", env: {}, stdio: [...same, own.fd] }).exited;
await Bun.spawn({ cmd: ["/bin/sh", "-c", "ls -l /proc/self/fd | grep -c memfd"], cwd: "/", env: {}, stdio: ["ignore", "inherit", "inherit"] }).exited;
`,
  );
  const said = execFileSync(bunCompiler(), ["run", script], {
    encoding: "utf8",
    timeout: 30_000,
    env: { PATH: "/usr/bin:/bin", TMPDIR: join(folder, "tmp"), HOME: folder },
  });
  const each = "/memfd:exec-server (deleted) EPERM\nsealed\nEPERM 0\n";
  assert.is(said, `${each}${each}sealed\n0\n`);
});

test.run();
