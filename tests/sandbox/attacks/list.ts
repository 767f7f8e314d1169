// All attacks, what must go on working, and what is known to come through.
import type { Attack, Identity, Usable } from "./attack.ts";
import { NETWORK } from "./network.ts";
import { OUTSIDE_VIEW } from "./outside.ts";
import { PRIVILEGES } from "./privileges.ts";
import { PROCESSES } from "./processes.ts";
import { READS } from "./reads.ts";
import { LIMITS, TERMINALS } from "./terminals_and_limits.ts";
import { WRITES } from "./writes.ts";
import { KERNEL_WRITES } from "./writes_kernel.ts";
import { PROTECTED_WRITES } from "./writes_protected.ts";

/** Every attack, in the order of the table. */
export const ATTACKS: readonly Attack[] = [
  ...WRITES,
  ...PROTECTED_WRITES,
  ...KERNEL_WRITES,
  ...READS,
  ...PROCESSES,
  ...NETWORK,
  ...PRIVILEGES,
  ...TERMINALS,
  ...LIMITS,
  ...OUTSIDE_VIEW,
];

/** An escape that is known and documented. */
export interface AllowedEscape {
  readonly id: string;
  readonly as: readonly Identity[];
  /** Why it is allowed, and what to do about it; for docs/sandbox.md. */
  readonly reason: string;
}

/** At most four as a user and five as root. */
export const ALLOWED_ESCAPES: readonly AllowedEscape[] = [
  {
    id: "w-hardlink-existing",
    as: ["root", "user"],
    reason:
      "A hard link that was in the root before is a second name of the same file, and mounts know names. Keep " +
      "no hard links to outside files in a root. File requests can be told to refuse files with several names.",
  },
  {
    id: "r-hardlink-existing",
    as: ["root", "user"],
    reason: "The same for reading: deny every name of the file, or the folder that holds the link.",
  },
  {
    id: "w-nested-git-hook",
    as: ["root", "user"],
    reason:
      "Protected names are protected at the top of each root, not in folders below. Name a repository below " +
      "the root as a root of its own.",
  },
  {
    id: "w-nested-parent-swap",
    as: ["root", "user"],
    reason: "A folder above a nested repository can be renamed and rebuilt. As above.",
  },
  {
    id: "x-fork-many",
    as: ["root"],
    reason:
      "RLIMIT_NPROC does not bind user 0, in no user namespace. Run the server as an ordinary user, or with a " +
      "control group that it may use.",
  },
];

/** Seen beside the attacks: no engine made of mounts and a seccomp filter stops these. Not counted, but documented. */
export const KNOWN_LIMITS: readonly Attack[] = [
  {
    id: "l-fifo-outside",
    tries: "write into a named pipe outside the roots",
    stoppedBy: "nothing: a read-only mount does not hold for named pipes; deny the folder",
    program: (scene) => ({
      perl: String
        .raw`sysopen(my $f, "${scene.bystander.fifo}", O_WRONLY | O_NONBLOCK) or blocked("$!"); syswrite($f, "x"); tried();`,
    }),
  },
  {
    id: "l-flock-outside",
    tries: "lock a file outside the roots, so that a program of the host waits",
    stoppedBy: "nothing: flock(2) needs no more than reading; deny the file",
    program: (scene) => ({
      perl: String
        .raw`open(my $f, "<", "${scene.outside}/append") or blocked("$!"); flock($f, LOCK_EX | LOCK_NB) ? escaped("locked") : blocked("$!");`,
    }),
  },
  {
    id: "l-set-gid-file",
    tries: "leave a set-gid file",
    stoppedBy: "nothing: the bit is common on folders, and a filter cannot tell a file from a folder",
    program: () => ({
      perl: String
        .raw`put("left", "x"); chmod(02755, "left"); ((stat "left")[2] & 02000) ? escaped("set-gid") : blocked("$!");`,
    }),
  },
];

/** What has to go on working inside. */
export const USABLE: readonly Usable[] = [
  {
    id: "c-tmp",
    does: "mktemp",
    program: () => ({ sh: `f=$(mktemp) && echo x >"$f" && rm "$f" && say WORKS || say FAILS` }),
  },
  {
    id: "c-own-loopback",
    does: "a server and a client of its own over loopback",
    program: () => ({
      perl: String.raw`
socket(my $l, AF_INET, SOCK_STREAM, 0) or word("FAILS", "socket: $!"); bind($l, sockaddr_in(0, INADDR_LOOPBACK)) or word("FAILS", "bind: $!"); listen($l, 1) or word("FAILS", "listen: $!");
my ($port) = sockaddr_in(getsockname $l); socket(my $c, AF_INET, SOCK_STREAM, 0); connect($c, sockaddr_in($port, INADDR_LOOPBACK)) or word("FAILS", "connect: $!");
accept(my $s, $l); syswrite($s, "hello"); sysread($c, my $text, 5); word($text eq "hello" ? "WORKS" : "FAILS");`,
    }),
  },
  {
    id: "c-ptrace-own-child",
    does: "trace a child of its own, as strace and gdb do",
    program: () => ({
      perl: String
        .raw`my $pid = fork; if (!$pid) { sleep 10; POSIX::_exit(0) } my $r = sys("ptrace", 0x4206, $pid, 0, 0); my $why = "$!"; kill("KILL", $pid); waitpid($pid, 0); $r == 0 ? word("WORKS") : word("FAILS", $why);`,
    }),
  },
  {
    id: "c-pair",
    does: "a pair of connected sockets",
    program: () => ({
      perl: String
        .raw`socketpair(my $a, my $b, AF_UNIX, SOCK_STREAM, 0) or word("FAILS", "$!"); syswrite($a, "x"); sysread($b, my $t, 1); word($t eq "x" ? "WORKS" : "FAILS");`,
    }),
  },
  {
    id: "c-set-gid-folder",
    does: "a folder with the set-gid bit, as shared repositories have",
    program: () => ({ sh: "mkdir shared && chmod 2775 shared && say WORKS || say FAILS" }),
  },
  {
    id: "c-own-terminal",
    does: "a new terminal",
    program: () => ({
      perl: String
        .raw`sysopen(my $m, "/dev/ptmx", O_RDWR | O_NOCTTY) or word("FAILS", "$!"); my $n = pack("i", 0); ioctl($m, 0x40045431, $n); ioctl($m, 0x80045430, $n); $n = unpack("i", $n); sysopen(my $s, "/dev/pts/$n", O_RDWR | O_NOCTTY) ? word("WORKS") : word("FAILS", "$!");`,
    }),
  },
  {
    id: "c-write-root",
    does: "write, rename and remove in the root",
    program: () => ({
      sh: "echo x >a && mv a b && mkdir d && mv b d/b && rm -r d && say WORKS || say FAILS",
    }),
  },
];

/** Not promised: lost to the rule that keeps the host's sockets out of reach, unless the policy allows unix sockets. */
export const UNUSABLE: readonly Usable[] = [
  {
    id: "c-own-unix-socket",
    does: "a unix socket of its own in the root",
    program: () => ({
      perl: String
        .raw`socket(my $s, AF_UNIX, SOCK_STREAM, 0) or word("FAILS", "socket: $!"); bind($s, pack_sockaddr_un("own.sock")) ? word("WORKS") : word("FAILS", "bind: $!");`,
    }),
  },
];
