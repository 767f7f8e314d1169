// Attacks on the sandbox itself: namespaces, mounts, capabilities, dangerous system calls.
import { hostname } from "node:os";
import type { Attack } from "./attack.ts";
import { type More, perl, ROOT_ONLY } from "./attempt.ts";
import { type Scene, SET_UID_OWNER } from "./scene.ts";

const CAPABILITIES = "no capabilities, seccomp";

const attack = (
  id: string,
  tries: string,
  stoppedBy: string,
  script: (scene: Scene) => string,
  more?: More,
) => perl(id, tries, stoppedBy, script, more ?? ROOT_ONLY);

const NEW_USER = 0x10000000;

/** Attacks on the sandbox's own walls. */
export const PRIVILEGES: readonly Attack[] = [
  attack(
    "u-unshare-user",
    "make a user namespace (unshare)",
    "seccomp",
    () =>
      String
        .raw`child(sub { sys("unshare", ${NEW_USER}) == 0 ? 42 : 1 }) == 42 ? escaped("unshare") : blocked("refused");`,
    "machine",
  ),
  attack(
    "u-unshare-others",
    "make any other namespace",
    "seccomp",
    () =>
      String
        .raw`for my $flag (0x80, 0x20000, 0x2000000, 0x4000000, 0x8000000, 0x20000000, 0x40000000) { escaped(sprintf "flag %x", $flag) if child(sub { sys("unshare", $flag) == 0 ? 42 : 1 }) == 42 } blocked("refused");`,
  ),
  attack(
    "u-clone-newuser",
    "make a user namespace (clone)",
    "seccomp",
    () =>
      String
        .raw`my $pid = sys("clone", ${NEW_USER} | 17, 0, 0, 0, 0); POSIX::_exit(0) if $pid == 0; my $why = "$!"; waitpid($pid, 0) if $pid > 0; $pid > 0 ? escaped("clone") : blocked($why);`,
    "machine",
  ),
  attack(
    "u-clone3-newuser",
    "make a user namespace (clone3)",
    "seccomp: clone3 is ENOSYS",
    () =>
      String
        .raw`my $args = pack("Q11", ${NEW_USER}, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0); my $pid = sys("clone3", $args, 88); POSIX::_exit(0) if $pid == 0; my $why = "$!"; waitpid($pid, 0) if $pid > 0; $pid > 0 ? escaped("clone3") : blocked($why);`,
    "machine",
  ),
  attack(
    "u-mount-tmpfs",
    "mount a file system",
    CAPABILITIES,
    () => `judge(sys("mount", c("none"), c("mnt"), c("tmpfs"), 0, 0), "mount");`,
  ),
  attack(
    "u-remount-rw",
    "make / writable again",
    "no capabilities",
    () => `judge(sys("mount", c("none"), c("/"), c(""), 0x1020, 0), "remount");`,
  ),
  attack(
    "u-bind-outside",
    "bind an outside folder into the root",
    CAPABILITIES,
    (s) => `judge(sys("mount", c("${s.outside}"), c("mnt"), c(""), 0x1000, 0), "bind");`,
  ),
  attack(
    "u-new-mount-api",
    "take a copy of the mounts (open_tree)",
    CAPABILITIES,
    () => `judge(sys("open_tree", -100, c("/"), 0x8001), "open_tree");`,
  ),
  attack(
    "u-open-tree-attr",
    "take a writable copy of the mounts (open_tree_attr)",
    CAPABILITIES,
    () =>
      String
        .raw`my $attr = "\0" x 32; judge(sys("open_tree_attr", -100, c("/"), 0x8001, $attr, 32), "open_tree_attr");`,
    "machine",
  ),
  attack(
    "u-mount-setattr",
    "make / writable again (mount_setattr)",
    CAPABILITIES,
    () =>
      String
        .raw`my $attr = pack("QQQQ", 0, 1, 0, 0); judge(sys("mount_setattr", -100, c("/"), 0, $attr, 32), "mount_setattr");`,
    { root: "machine", user: "closed" },
  ),
  attack(
    "u-fsopen",
    "open a file system (fsopen)",
    CAPABILITIES,
    () => `judge(sys("fsopen", c("tmpfs"), 0), "fsopen");`,
  ),
  attack("u-chroot", "change the root", CAPABILITIES, () => `judge(sys("chroot", c("/")), "chroot");`),
  attack(
    "u-caps",
    "hold any capability",
    "--cap-drop ALL",
    () =>
      String
        .raw`my @held = slurp("/proc/self/status") =~ /^(Cap(?:Eff|Prm|Inh|Amb):\s+0*[1-9a-f]\S*)/mg; @held ? escaped(@held) : blocked("none");`,
  ),
  attack(
    "u-no-new-privs",
    "no_new_privs is off",
    "bubblewrap sets it",
    () => String.raw`slurp("/proc/self/status") =~ /^NoNewPrivs:\s+1/m ? blocked("on") : escaped("off");`,
    "open",
  ),
  attack(
    "u-init-unfiltered",
    "the sandbox's first process is less confined than we are",
    "bubblewrap filters it too",
    () =>
      String.raw`my $status = slurp("/proc/1/status"); blocked("unreadable") if $status eq "";
$status =~ /^NoNewPrivs:\s+1/m && $status =~ /^Seccomp:\s+2/m && $status =~ /^CapEff:\s+0+$/m ? blocked("as we are") : escaped("first process unconfined");`,
    "open",
  ),
  attack(
    "u-ping-suid",
    "gain by a set-uid program",
    "no_new_privs, nosuid",
    (s) =>
      String.raw`my $program = "${s.run}/set-uid-cat"; -u $program or skip("the test may not make one");
my $status = qx($program /proc/self/status); $status =~ /^Uid:\s+\d+\s+${SET_UID_OWNER}\b/m ? escaped("became another user") : blocked("stayed who we are");`,
    "machine",
  ),
  attack(
    "u-hostname",
    "set the host's name (to the same)",
    "a UTS namespace, no capabilities",
    () => `judge(sys("sethostname", c("${hostname()}"), ${hostname().length}), "sethostname");`,
  ),
  attack(
    "u-domainname",
    "set the domain's name",
    CAPABILITIES,
    () =>
      String
        .raw`my $name = slurp("/proc/sys/kernel/domainname"); chomp $name; judge(sys("setdomainname", c($name), length $name), "setdomainname");`,
  ),
  attack(
    "u-reboot-cap",
    "reboot passes the capability check (invalid arguments)",
    CAPABILITIES,
    () =>
      String
        .raw`sys("reboot", 1, 2, 3, 0); $!{EINVAL} ? escaped("only the arguments were wrong") : blocked("$!");`,
  ),
  attack(
    "u-swap",
    "swapon passes the capability check",
    CAPABILITIES,
    () =>
      String
        .raw`sys("swapon", c("/nonexistent"), 0); $!{EPERM} || $!{ENOSYS} ? blocked("$!") : escaped("$!");`,
  ),
  attack(
    "u-bpf",
    "load a bpf map",
    CAPABILITIES,
    () =>
      String
        .raw`my $attr = pack("IIIII", 2, 4, 4, 1, 0) . ("\0" x 100); judge(sys("bpf", 0, $attr, 120), "bpf");`,
    "machine",
  ),
  attack(
    "u-perf",
    "perf_event_open",
    CAPABILITIES,
    () =>
      String
        .raw`my $attr = pack("IIQ", 1, 112, 0) . ("\0" x 96); judge(sys("perf_event_open", $attr, 0, -1, -1, 0), "perf_event_open");`,
    "machine",
  ),
  attack(
    "u-keyring",
    "add a key to the user's keyring",
    "seccomp (no namespace covers it)",
    (s) =>
      String
        .raw`my $key = sys("add_key", c("user"), c("${s.nonce}"), c("x"), 1, -4); my $why = "$!"; sys("keyctl", 9, $key, -4) if $key > 0; $key > 0 ? escaped("add_key") : blocked($why);`,
    "machine",
  ),
  attack(
    "u-module",
    "load a kernel module (an empty one)",
    CAPABILITIES,
    () =>
      String
        .raw`my $image = "\0" x 16; sys("init_module", $image, 16, c("")); $!{EPERM} || $!{ENOSYS} ? blocked("$!") : escaped("$!");`,
    { root: "machine", user: "closed" },
  ),
  attack(
    "u-kexec",
    "kexec passes the capability check (invalid flags)",
    CAPABILITIES,
    () =>
      String
        .raw`sys("kexec_load", 0, 0, 0, 0xfff8); $!{EINVAL} || $!{EADDRNOTAVAIL} ? escaped("only the flags were wrong") : blocked("$!");`,
    { root: "machine", user: "closed" },
  ),
  attack(
    "u-acct",
    "accounting passes the capability check",
    CAPABILITIES,
    () =>
      String
        .raw`sys("acct", c("/nonexistent/file")); $!{EPERM} || $!{ENOSYS} ? blocked("$!") : escaped("$!");`,
    { root: "machine", user: "closed" },
  ),
  attack(
    "u-ioport",
    "ports of the machine",
    CAPABILITIES,
    () => `judge(sys("ioperm", 0x80, 1, 1), "ioperm");`,
    { root: "machine", user: "closed" },
  ),
  attack(
    "u-setuid",
    "become another user",
    "one user is mapped",
    () =>
      String
        .raw`child(sub { POSIX::setuid($> == 0 ? 1 : 0) ? 42 : 1 }) == 42 ? escaped("setuid") : blocked("refused");`,
  ),
  attack(
    "u-chown",
    "give a file away",
    "one user is mapped",
    () => String.raw`put("owned", "x"); chown(12345, 12345, "owned") ? escaped("chown") : blocked("$!");`,
  ),
];
