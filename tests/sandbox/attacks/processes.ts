// Attacks on processes outside: the bystander runs as the same user, so that only the sandbox is in between.
import type { Attack } from "./attack.ts";
import { perl, ROOT_ONLY } from "./attempt.ts";
import type { Scene } from "./scene.ts";

const PID_NAMESPACE = "a process namespace and its own /proc";

/** Finds the scene's own bystander: other tests have theirs. The pattern does not match itself: scripts are command lines too. */
const find = (s: Scene) =>
  String.raw`
sub find_bystander { for my $file (glob("/proc/[0-9]*/cmdline")) { return $1 if slurp($file) =~ /bystander-o[f]-${s.nonce}/ && $file =~ /(\d+)/ } return 0 }`;

/** Attacks on other processes. */
export const PROCESSES: readonly Attack[] = [
  perl(
    "p-see-outside",
    "see an outside process",
    PID_NAMESPACE,
    (s) =>
      String.raw`${find(s)} my $pid = find_bystander(); $pid ? escaped("sees $pid") : blocked("not there");`,
  ),
  perl(
    "p-signal-outside",
    "find it and signal it",
    PID_NAMESPACE,
    (s) =>
      String.raw`${find(s)} my $pid = find_bystander() or blocked("not there"); kill("USR1", $pid); tried();`,
  ),
  perl(
    "p-signal-by-number",
    "signal it by its number",
    PID_NAMESPACE,
    (s) => `kill("USR1", ${s.bystander.pid}); tried();`,
  ),
  perl(
    "p-process-group",
    "signal the own process group, which may reach outside",
    "a session of its own",
    () => String.raw`$SIG{USR1} = "IGNORE"; kill("USR1", 0); select(undef, undef, undef, 0.05); tried();`,
    {
      bare: "closed",
      mayEndSandbox: true,
      evidence: (_, outcome) =>
        outcome.output.includes("SERVER-WAS-SIGNALLED") ? "the signal reached the server" : undefined,
    },
  ),
  perl(
    "p-environ-outside",
    "read its environment",
    PID_NAMESPACE,
    () => String.raw`print slurp($_) for glob("/proc/[0-9]*/environ"); tried();`,
  ),
  perl(
    "p-root-outside",
    "use its root folder",
    PID_NAMESPACE,
    (s) =>
      String.raw`opendir(my $d, "/proc/${s.bystander.pid}/root") ? escaped("listed it") : blocked("$!");`,
  ),
  perl(
    "p-memory-file-outside",
    "open its memory",
    PID_NAMESPACE,
    (s) =>
      String
        .raw`sysopen(my $f, "/proc/${s.bystander.pid}/mem", O_RDONLY) or blocked("$!"); sysseek($f, ${s.bystander.address}, 0); judge(sysread($f, my $b, 8), "read its memory");`,
  ),
  perl(
    "p-ptrace-outside",
    "trace it",
    "namespaces",
    (s) => `judge(sys("ptrace", 0x4206, ${s.bystander.pid}, 0, 0), "PTRACE_SEIZE");`,
  ),
  perl("p-vm-read-outside", "read its memory (process_vm_readv)", "namespaces", (s) =>
    String.raw`
my $buffer = "\0" x 8; my $here = pack("QQ", unpack("Q", pack("P", $buffer)), 8); my $there = pack("QQ", ${s.bystander.address}, 8);
my $n = sys("process_vm_readv", ${s.bystander.pid}, $here, 1, $there, 1, 0); $n == 8 || $!{EFAULT} ? escaped("read") : blocked("$!");`),
  perl(
    "p-pidfd-outside",
    "take one of its descriptors",
    "namespaces",
    (s) =>
      String
        .raw`my $fd = sys("pidfd_open", ${s.bystander.pid}, 0); $fd >= 0 or blocked("pidfd_open: $!"); judge(sys("pidfd_getfd", $fd, 0, 0), "pidfd_getfd");`,
  ),
  perl(
    "p-pidfd-signal-outside",
    "signal it through a pidfd",
    "namespaces",
    (s) =>
      String
        .raw`my $fd = sys("pidfd_open", ${s.bystander.pid}, 0); sys("pidfd_send_signal", $fd, 10, 0, 0) if $fd >= 0; tried();`,
  ),
  perl(
    "p-setns-outside",
    "enter its namespaces",
    "namespaces, seccomp",
    (s) =>
      String
        .raw`sysopen(my $f, "/proc/${s.bystander.pid}/ns/uts", O_RDONLY) or blocked("open: $!"); judge(sys("setns", fileno($f), 0), "setns");`,
    {
      bare: ROOT_ONLY,
    },
  ),
  perl(
    "p-prlimit-outside",
    "read and set its limits",
    PID_NAMESPACE,
    (s) =>
      String.raw`my $old = "\0" x 16; judge(sys("prlimit64", ${s.bystander.pid}, 7, 0, $old), "prlimit");`,
  ),
  perl(
    "p-priority-outside",
    "change its priority",
    PID_NAMESPACE,
    (s) =>
      String
        .raw`my $now = getpriority(0, ${s.bystander.pid}); blocked("$!") unless defined $now && !$!; setpriority(0, ${s.bystander.pid}, $now) ? escaped("set") : blocked("$!");`,
    {
      bare: "machine",
    },
  ),
  perl(
    "p-sysv-shm",
    "read its shared memory",
    "an IPC namespace",
    (s) =>
      String.raw`shmread(${s.bystander.shm}, my $text, 0, 40) or blocked("$!"); print $text, "\n"; tried();`,
  ),
  perl(
    "p-posix-mqueue",
    "open its message queue",
    "an IPC namespace",
    (s) => String.raw`judge(sys("mq_open", c("exec-server-${s.nonce}"), 2, 0, 0), "opened it");`,
  ),
];
