/**
 * Numbers of system calls. x64: arch/x86/entry/syscalls/syscall_64.tbl; arm64: scripts/syscall.tbl, before Linux 6.11
 * include/uapi/asm-generic/unistd.h. From 424 on they are the same on every architecture. The tests compare the table
 * with the headers of the machine, where it has them.
 */

/** The architectures that there is a table for, as `process.arch` names them. */
export type FilterArch = "x64" | "arm64";

/** [x64, arm64]; null where the architecture does not have the call. */
export type SyscallNumbers = readonly [x64: number | null, arm64: number | null];

/** The calls that the filter knows, by name. */
export const SYSCALLS = {
  acct: [163, 89],
  add_key: [248, 217],
  bpf: [321, 280],
  chmod: [90, null],
  chroot: [161, 51],
  clock_settime: [227, 112],
  clone: [56, 220],
  clone3: [435, 435],
  creat: [85, null],
  delete_module: [176, 106],
  fchmod: [91, 52],
  fchmodat: [268, 53],
  fchmodat2: [452, 452],
  finit_module: [313, 273],
  fsconfig: [431, 431],
  fsmount: [432, 432],
  fsopen: [430, 430],
  fspick: [433, 433],
  init_module: [175, 105],
  io_uring_enter: [426, 426],
  io_uring_register: [427, 427],
  io_uring_setup: [425, 425],
  ioctl: [16, 29],
  ioperm: [173, null],
  iopl: [172, null],
  kcmp: [312, 272],
  kexec_file_load: [320, 294],
  kexec_load: [246, 104],
  keyctl: [250, 219],
  lookup_dcookie: [212, 18],
  mknod: [133, null],
  mknodat: [259, 33],
  mount: [165, 40],
  mount_setattr: [442, 442],
  move_mount: [429, 429],
  name_to_handle_at: [303, 264],
  nfsservctl: [180, 42],
  open: [2, null],
  open_by_handle_at: [304, 265],
  open_tree: [428, 428],
  open_tree_attr: [467, 467],
  openat: [257, 56],
  openat2: [437, 437],
  perf_event_open: [298, 241],
  pivot_root: [155, 41],
  quotactl: [179, 60],
  quotactl_fd: [443, 443],
  reboot: [169, 142],
  request_key: [249, 218],
  setdomainname: [171, 162],
  sethostname: [170, 161],
  setns: [308, 268],
  settimeofday: [164, 170],
  socket: [41, 198],
  socketpair: [53, 199],
  swapoff: [168, 225],
  swapon: [167, 224],
  syslog: [103, 116],
  umount2: [166, 39],
  unshare: [272, 97],
  userfaultfd: [323, 282],
  vhangup: [153, 58],
} as const satisfies Readonly<Record<string, SyscallNumbers>>;

/** A call in the table. */
export type SyscallName = keyof typeof SYSCALLS;

/** The number of a call, or undefined where the architecture does not have it. */
export function syscallNumber(name: SyscallName, arch: FilterArch): number | undefined {
  return SYSCALLS[name][arch === "x64" ? 0 : 1] ?? undefined;
}
