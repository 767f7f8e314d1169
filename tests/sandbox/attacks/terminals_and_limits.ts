// Attacks on the terminal of whoever watches, and on the machine's resources.
import type { Attack } from "./attack.ts";
import { type More, perl } from "./attempt.ts";
import type { Scene } from "./scene.ts";

const NO_TIOCSTI = "seccomp";
const OWN_DEV = "an own /dev";

const attack = (
  id: string,
  tries: string,
  stoppedBy: string,
  script: (scene: Scene) => string,
  more?: More,
) => perl(id, tries, stoppedBy, script, more ?? "machine");

/** Attacks on terminals. Without a terminal most have nothing to attack, and are blocked. */
export const TERMINALS: readonly Attack[] = [
  attack(
    "t-tiocsti-tty",
    "type into the controlling terminal",
    NO_TIOCSTI,
    () =>
      String
        .raw`sysopen(my $tty, "/dev/tty", O_RDWR) or blocked("open: $!"); my $key = "x"; ioctl($tty, 0x5412, $key) ? escaped("typed") : blocked("$!");`,
  ),
  attack(
    "t-tiocsti-stdio",
    "type into standard input, output and error",
    NO_TIOCSTI,
    () =>
      String
        .raw`my $key = "x"; for my $f (\*STDIN, \*STDOUT, \*STDERR) { escaped("typed") if ioctl($f, 0x5412, $key) } blocked("$!");`,
  ),
  attack(
    "t-tiocsti-high-bits",
    "the same with bits that the kernel ignores",
    "seccomp looks at the lower half, as the kernel does",
    () =>
      String
        .raw`sysopen(my $tty, "/dev/tty", O_RDWR) or blocked("open: $!"); judge(sys("ioctl", fileno($tty), 0x5412 | (1 << 32), c("x")), "typed");`,
  ),
  attack(
    "t-tioclinux",
    "paste into the console",
    NO_TIOCSTI,
    () =>
      String
        .raw`my @f = (\*STDIN); for my $file ("/dev/console", "/dev/tty0", "/dev/tty1") { my $h; push @f, $h if sysopen($h, $file, O_RDWR) } my $arg = "\x06\0\0\0"; for my $f (@f) { escaped("TIOCLINUX") if ioctl($f, 0x541c, $arg) } blocked("$!");`,
  ),
  attack(
    "t-other-pts",
    "open the terminals of others",
    OWN_DEV,
    (s) =>
      String
        .raw`my $file = "/dev/pts/${s.bystander.pts}"; skip("no terminals here") if ${s.bystander.pts} < 0; sysopen(my $f, $file, O_WRONLY | O_NOCTTY | O_NONBLOCK) or blocked("$!"); syswrite($f, "x\n"); tried();`,
    "open",
  ),
  attack(
    "t-console",
    "open the machine's console",
    OWN_DEV,
    () =>
      String
        .raw`sysopen(my $f, "/dev/console", O_WRONLY | O_NOCTTY | O_NONBLOCK) or blocked("$!"); my $own = (stat(STDIN))[6]; (stat($f))[6] == $own ? blocked("it is our own terminal") : escaped("opened");`,
    { root: "machine", user: "machine" },
  ),
  attack(
    "t-ptmx-host",
    "take the host's terminals through ptmx",
    OWN_DEV,
    (s) =>
      String.raw`
sysopen(my $m, "/dev/ptmx", O_RDWR | O_NOCTTY) or blocked("$!"); my $n = pack("i", 0); ioctl($m, 0x80045430, $n) or blocked("$!");
-e "/dev/pts/${s.bystander.pts}" && ${s.bystander.pts} >= 0 && unpack("i", $n) != ${s.bystander.pts} ? escaped("the host's devpts") : blocked("an own devpts");`,
    "open",
  ),
];

/** Attacks on resources. */
export const LIMITS: readonly Attack[] = [
  {
    ...attack("x-fork-many", "run 700 processes", "RLIMIT_NPROC; as root a control group", () =>
      String.raw`
my @children; pipe(my $r, my $w) or die;
for (1 .. 700) { my $pid = fork; last unless defined $pid; if (!$pid) { close $w; sysread($r, my $b, 1); POSIX::_exit(0) } push @children, $pid }
my $why = "$!"; my $count = @children; close $w; kill("KILL", @children); waitpid($_, 0) for @children;
$count >= 700 ? escaped("$count processes") : blocked("$count processes: $why");`, "machine"),
    limitMs: 60_000,
  },
  {
    ...attack("x-memory", "use 1.5 GiB of memory", "a limit of memory", () =>
      String.raw`
skip("too little memory for the test") if slurp("/proc/meminfo") =~ /^MemAvailable:\s+(\d+)/m && $1 < 3_000_000;
my $r = child(sub { my $size = 1536 * 1024 * 1024; my $big = "x" x $size; length($big) == $size ? 42 : 1 });
$r == 42 ? escaped("1.5 GiB") : blocked("ended with $r");`, "machine"),
    limitMs: 60_000,
  },
  attack("x-file-size", "write a file of 2.1 GiB (with a hole)", "RLIMIT_FSIZE", () =>
    String.raw`
my $r = child(sub { open(my $f, ">", "big") or return 2; sysseek($f, 2_254_857_830, 0); (syswrite($f, "x") || 0) == 1 ? 42 : 1 }); unlink "big";
$r == 2 ? skip("no place to write") : $r == 42 ? escaped("2.1 GiB") : blocked("ended with $r");`, "machine"),
  {
    id: "x-cpu-limit",
    tries: "use the processor without a limit",
    stoppedBy: "RLIMIT_CPU",
    program: () => ({
      sh:
        `limit=$(ulimit -H -t); case $limit in unlimited) say ESCAPED no limit;; *) say BLOCKED "$limit s";; esac`,
    }),
    bare: "machine",
  },
  attack("x-raise-limit", "raise a hard limit", "no capabilities", () =>
    String.raw`
for my $resource (0, 1, 2, 4, 6, 7) {
  my $old = "\0" x 16; sys("prlimit64", 0, $resource, 0, $old) == 0 or next; my ($soft, $hard) = unpack("QQ", $old);
  next if $hard == ~0; my $new = pack("QQ", $soft, $hard + 1); escaped("resource $resource") if sys("prlimit64", 0, $resource, $new, 0) == 0;
} blocked("refused, or all unlimited");`, "machine"),
];
