/**
 * The seccomp filter of a sandboxed process: what mounts and namespaces do not stop. Default allow: the file system is
 * bubblewrap's part, and a list of what is allowed would break with every new libc.
 *
 * A filter sees numbers, not memory: calls whose arguments are behind a pointer are refused as a whole (`clone3`,
 * `openat2`) with ENOSYS, and libc falls back to the older call. Where the kernel takes an int it ignores the upper half
 * of the register, and so does the filter: else `ioctl(fd, TIOCSTI | 1 << 32)` would pass (CVE-2019-10063).
 */
import { Assembler } from "./seccomp_assembler.ts";
import { type FilterArch, type SyscallName, syscallNumber } from "./seccomp_syscalls.ts";

/** What the filter depends on. */
export interface SeccompOptions {
  /** True when the policy gives the host's network. */
  readonly network: boolean;
  /** True when the process may make user namespaces of its own (browsers, nested sandboxes). */
  readonly nestedNamespaces: boolean;
  readonly arch: FilterArch;
  /**
   * True when the process may use unix sockets with a name. A read-only mount does not keep anybody from connecting to
   * the docker socket. As `network` when absent.
   */
  readonly unixSockets?: boolean;
}

// include/uapi/linux/seccomp.h
const ALLOW = 0x7fff0000;
const KILL_PROCESS = 0x80000000;
const errno = (code: number) => 0x00050000 | code;
const EPERM = errno(1);
const ENOSYS = errno(38);

// struct seccomp_data: int nr; u32 arch; u64 instruction_pointer; u64 args[6], little-endian.
const NUMBER = 0;
const ARCHITECTURE = 4;
const argument = (index: number) => 16 + 8 * index;

// include/uapi/linux/audit.h
const AUDIT_ARCH: Readonly<Record<FilterArch, number>> = { x64: 0xc000003e, arm64: 0xc00000b7 };
const X32_BIT = 0x40000000;

/** Nothing that runs in a sandbox needs them; most need a capability that it does not have: the second lock. */
const REFUSED: readonly SyscallName[] = [
  ...["setns", "open_by_handle_at", "name_to_handle_at", "kcmp"] as const,
  ...["io_uring_setup", "io_uring_enter", "io_uring_register"] as const, // goes round every other rule here
  ...["add_key", "request_key", "keyctl"] as const, // no namespace covers the user's keyring
  ...["bpf", "perf_event_open", "userfaultfd", "syslog", "lookup_dcookie"] as const,
  ...["kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "reboot"] as const,
  ...["swapon", "swapoff", "acct", "quotactl", "quotactl_fd", "nfsservctl", "vhangup"] as const,
  ...["settimeofday", "clock_settime", "setdomainname", "iopl", "ioperm"] as const,
];

/** What a nested sandbox needs; harmless there, because the mounts around it are locked. */
const NAMESPACE_CALLS: readonly SyscallName[] = [
  "mount",
  "umount2",
  "pivot_root",
  "chroot",
  "sethostname",
];

/** libmount falls back to mount(2) on ENOSYS, so a nested sandbox does without. */
const NEW_MOUNT_CALLS: readonly SyscallName[] = [
  "open_tree",
  "open_tree_attr",
  "move_mount",
  "fsopen",
  "fsconfig",
  "fsmount",
  "fspick",
  "mount_setattr",
];

// include/uapi/linux/sched.h: every CLONE_NEW*. In clone(2) the low byte is a signal and not CLONE_NEWTIME.
const CLONE_NEW = 0x7e020000;
const CLONE_NEWTIME = 0x80;

// include/uapi/asm-generic/ioctls.h: puts characters into the terminal of whoever started us
const TIOCSTI = 0x5412;
const TIOCLINUX = 0x541c;

const SET_USER_ID = 0o4000;
/** O_CREAT, and the bit of O_TMPFILE that is its own: without them the mode argument is whatever the register holds. */
const CREATES = 0o100 | 0o20000000;

// include/linux/socket.h
const AF_UNIX = 1;
const AF_INET = 2;
const AF_INET6 = 10;
const AF_NETLINK = 16;
const NETLINK_ROUTE = 0;
const SOCKET_TYPE_BITS = 0xf; // without SOCK_CLOEXEC and SOCK_NONBLOCK
const SOCK_STREAM = 1;
const SOCK_SEQPACKET = 5;

/** The filter, as an array of `struct sock_filter` for bubblewrap's `--seccomp`. */
export function seccompFilter(options: SeccompOptions): Uint8Array {
  const { arch, nestedNamespaces } = options;
  const code = new Assembler();
  code.load(ARCHITECTURE);
  code.jump("equal", AUDIT_ARCH[arch], "native");
  code.verdict(KILL_PROCESS); // int 0x80 and 32-bit programs: their numbers mean other calls
  code.place("native");
  code.load(NUMBER);
  if (arch === "x64") {
    code.jump("at-least", X32_BIT, "next", "not x32");
    code.verdict(ENOSYS);
    code.place("not x32");
  }

  /** Emits what to do when the call is `name`; it must end in a verdict, because the number is lost on the way. */
  const on = (name: SyscallName, emit: () => void) => {
    const number = syscallNumber(name, arch);
    if (number === undefined) return;
    const other = code.newLabel();
    code.jump("equal", number, "next", other);
    emit();
    code.place(other);
  };
  const refuse = (names: readonly SyscallName[], verdict = EPERM) => {
    for (const name of names) on(name, () => code.verdict(verdict));
  };
  /** Refuses when an argument has any of these bits. */
  const refuseBits = (index: number, bits: number) => {
    const allowed = code.newLabel();
    code.load(argument(index));
    code.jump("any-bit", bits, "next", allowed);
    code.verdict(EPERM);
    code.place(allowed);
    code.verdict(ALLOW);
  };
  const allowOnly = (values: readonly number[]) => {
    for (const value of values) {
      const other = code.newLabel();
      code.jump("equal", value, "next", other);
      code.verdict(ALLOW);
      code.place(other);
    }
  };

  refuse(REFUSED);
  refuse(NEW_MOUNT_CALLS, nestedNamespaces ? ENOSYS : EPERM);
  refuse(["clone3", "openat2"], ENOSYS);
  if (!nestedNamespaces) {
    refuse(NAMESPACE_CALLS);
    on("clone", () => refuseBits(0, CLONE_NEW));
    on("unshare", () => refuseBits(0, CLONE_NEW | CLONE_NEWTIME));
  }
  on("ioctl", () => {
    code.load(argument(1));
    for (const request of [TIOCSTI, TIOCLINUX]) {
      const other = code.newLabel();
      code.jump("equal", request, "next", other);
      code.verdict(EPERM);
      code.place(other);
    }
    code.verdict(ALLOW);
  });
  setUserIdRules({ code, on, refuseBits });
  socketRules({ code, on, allowOnly, unixSockets: options.unixSockets ?? options.network });
  code.verdict(ALLOW);
  return code.bytes();
}

interface Rules {
  readonly code: Assembler;
  readonly on: (name: SyscallName, emit: () => void) => void;
}

/** No set-uid file is left behind: a server that runs as root would leave one of root. */
function setUserIdRules(
  { code, on, refuseBits }: Rules & { refuseBits: (index: number, bits: number) => void },
): void {
  on("chmod", () => refuseBits(1, SET_USER_ID));
  on("fchmod", () => refuseBits(1, SET_USER_ID));
  on("fchmodat", () => refuseBits(2, SET_USER_ID));
  on("fchmodat2", () => refuseBits(2, SET_USER_ID));
  on("creat", () => refuseBits(1, SET_USER_ID));
  on("mknod", () => refuseBits(1, SET_USER_ID)); // makes regular files too, for anybody
  on("mknodat", () => refuseBits(2, SET_USER_ID));
  for (const [name, flags] of [["open", 1], ["openat", 2]] as const) {
    on(name, () => {
      const creates = code.newLabel();
      code.load(argument(flags));
      code.jump("any-bit", CREATES, creates);
      code.verdict(ALLOW);
      code.place(creates);
      refuseBits(flags + 1, SET_USER_ID);
    });
  }
}

/**
 * IPv4 and IPv6 are free, so that a server inside can listen on the sandbox's own loopback: what they reach is the
 * network namespace's matter. Of the rest only the list of interfaces (netlink's route protocol) is needed.
 */
function socketRules(
  { code, on, allowOnly, unixSockets }: Rules & {
    allowOnly: (values: readonly number[]) => void;
    unixSockets: boolean;
  },
): void {
  on("socket", () => {
    code.load(argument(0));
    allowOnly(unixSockets ? [AF_UNIX, AF_INET, AF_INET6] : [AF_INET, AF_INET6]);
    const netlink = code.newLabel();
    code.jump("equal", AF_NETLINK, netlink);
    code.verdict(EPERM);
    code.place(netlink);
    code.load(argument(2));
    allowOnly([NETLINK_ROUTE]);
    code.verdict(EPERM);
  });
  on("socketpair", () => {
    const unix = code.newLabel();
    code.load(argument(0));
    code.jump("equal", AF_UNIX, unix);
    code.verdict(EPERM);
    code.place(unix);
    if (!unixSockets) {
      // A datagram socket of a pair can be connected to any other address, that is to a host's socket file.
      code.load(argument(1));
      code.and(SOCKET_TYPE_BITS);
      allowOnly([SOCK_STREAM, SOCK_SEQPACKET]);
      code.verdict(EPERM);
    }
    code.verdict(ALLOW);
  });
}
