// Numbers of system calls for the programs inside: those that the filter knows, and those that it lets pass.
import { type SyscallNumbers, SYSCALLS } from "../../../src/sandbox/seccomp_syscalls.ts";

/** Calls that the filter does not name. The sources are those of src/sandbox/seccomp_syscalls.ts. */
export const OTHER_SYSCALLS: Readonly<Record<string, SyscallNumbers>> = {
  accept4: [288, 242],
  bind: [49, 200],
  brk: [12, 214],
  capget: [125, 90],
  capset: [126, 91],
  connect: [42, 203],
  dup3: [292, 24],
  execve: [59, 221],
  exit_group: [231, 94],
  fchown: [93, 55],
  flock: [73, 32],
  futex: [202, 98],
  getdents64: [217, 61],
  getpid: [39, 172],
  getsockname: [51, 204],
  kill: [62, 129],
  landlock_create_ruleset: [444, 444],
  linkat: [265, 37],
  listen: [50, 201],
  memfd_create: [319, 279],
  mkdirat: [258, 34],
  mmap: [9, 222],
  mq_open: [240, 180],
  pidfd_getfd: [438, 438],
  pidfd_open: [434, 434],
  pidfd_send_signal: [424, 424],
  pipe2: [293, 59],
  prctl: [157, 167],
  prlimit64: [302, 261],
  process_vm_readv: [310, 270],
  ptrace: [101, 117],
  read: [0, 63],
  recvfrom: [45, 207],
  renameat2: [316, 276],
  rt_sigaction: [13, 134],
  seccomp: [317, 277],
  sendto: [44, 206],
  setsid: [112, 157],
  shmat: [30, 196],
  shmget: [29, 194],
  splice: [275, 76],
  symlinkat: [266, 36],
  unlinkat: [263, 35],
  wait4: [61, 260],
  write: [1, 64],
};

/** Name to number for one architecture. */
export function syscallNumbersOf(arch: string): Record<string, number> {
  const place = arch === "arm64" ? 1 : 0;
  const numbers: Record<string, number> = {};
  for (const [name, both] of Object.entries({ ...SYSCALLS, ...OTHER_SYSCALLS })) {
    const number = both[place];
    if (number !== null) numbers[name] = number;
  }
  return numbers;
}
