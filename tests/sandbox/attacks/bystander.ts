// A process of the host that has nothing to do with the sandbox, run by the same account: what reaches it has escaped.
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { register, send } from "../../harness/program.ts";

const START_LIMIT_MS = 10_000;
const STOP_LIMIT_MS = 1_000;

/** The bystander and how it is reached. */
export interface Bystander {
  readonly pid: number;
  readonly tcp: number;
  readonly udp: number;
  /** 0 where there is no IPv6. */
  readonly tcp6: number;
  /** Number of its terminal below /dev/pts. */
  readonly pts: number;
  /** Its shared memory segment (SysV). */
  readonly shm: number;
  /** An address in its memory that can be read. */
  readonly address: string;
  /** Sockets: of a stream, of datagrams. */
  readonly stream: string;
  readonly datagram: string;
  /** A pipe with a name, in a folder that the sandbox has read-only. */
  readonly fifo: string;
  /** Name of its abstract socket, without the NUL. */
  readonly abstract: string;
  /** Forgets the contacts so far and returns them; says so when it has died. */
  contacts(): Promise<string[]>;
  stop(): Promise<void>;
}

/** Starts the bystander as this user. */
export async function startBystander(
  options: { uid: number; run: string; nonce: string; token: string },
): Promise<Bystander> {
  const { uid, run, nonce, token } = options;
  const stream = join(run, "stream.sock"), datagram = join(run, "datagram.sock"), fifo = join(run, "fifo");
  // The name is put together there, so that no script and no command line but its own holds it.
  const child = spawn("/usr/bin/perl", ["-e", PROGRAM, `bystander-of-${nonce}`, run, nonce], {
    ...(process.getuid?.() === 0 ? { uid, gid: uid } : {}),
    cwd: "/",
    detached: true,
    env: { PATH: "/usr/bin:/bin", BYSTANDER_SECRET: token },
    stdio: ["pipe", "pipe", "inherit"],
  });
  const pid = child.pid ?? 0;
  if (pid > 0) register(pid, child);
  const ended = new Promise<void>((ok) => child.once("exit", () => ok()));
  let dead = false;
  ended.then(() => dead = true);
  let contacts: string[] = [];
  let rest = "";
  const waiting = new Map<string, (rest: string) => void>();
  child.stdin.on("error", () => {});
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      const [word = "", ...more] = line.split(" ");
      if (word === "CONTACT") contacts.push(more.join(" "));
      waiting.get(word)?.(more.join(" "));
    }
  });
  const said = (word: string) => {
    let timer: NodeJS.Timeout | undefined;
    return Promise.race([
      new Promise<string>((ok) => waiting.set(word, ok)),
      ended.then(() => ""),
      new Promise<string>((_, fail) => {
        timer = setTimeout(() => fail(new Error(`the bystander does not say ${word}`)), START_LIMIT_MS);
      }),
    ]).finally(() => {
      clearTimeout(timer);
      waiting.delete(word);
    });
  };
  const ready = await said("READY");
  const [tcp = 0, udp = 0, tcp6 = 0, pts = 0, shm = 0] = ready.split(" ").map(Number);
  if (ready === "") throw new Error("the bystander did not start");
  return {
    pid,
    tcp,
    udp,
    tcp6,
    pts,
    shm,
    address: `0x${
      /^([0-9a-f]+)-.*\[heap\]$/m.exec(readFileSync(`/proc/${pid}/maps`, "utf8"))?.[1] ?? "1000"
    }`,
    stream,
    datagram,
    fifo,
    abstract: `exec-server-${nonce}`,
    async contacts() {
      if (dead) return ["it has died"];
      const answered = said("PONG");
      child.stdin.write("ping\n");
      await answered;
      const found = contacts;
      contacts = [];
      return dead ? [...found, "it has died"] : found;
    },
    async stop() {
      child.stdin.end();
      const timer = setTimeout(() => send(pid, "SIGKILL"), STOP_LIMIT_MS);
      await ended.finally(() => clearTimeout(timer));
    },
  };
}

/** Its shared memory is marked for removal at once and lives only as long as it does. */
const PROGRAM = String.raw`
use strict; use warnings; use Socket; use Fcntl; use POSIX ();
my ($name, $run, $nonce) = @ARGV; $| = 1; my (%what, $in);
sub watch { my ($handle, $what) = @_; $what{fileno $handle} = [$handle, $what] }
sub port { my ($handle) = @_; my $family = sockaddr_family(getsockname $handle); my ($port) = $family == AF_INET ? sockaddr_in(getsockname $handle) : Socket::sockaddr_in6(getsockname $handle); return $port }
socket(my $tcp, AF_INET, SOCK_STREAM, 0) or die; bind($tcp, sockaddr_in(0, INADDR_LOOPBACK)) or die; listen $tcp, 20; watch($tcp, "tcp");
socket(my $udp, AF_INET, SOCK_DGRAM, 0) or die; bind($udp, sockaddr_in(0, INADDR_LOOPBACK)) or die; watch($udp, "udp");
my $port6 = 0; my $tcp6;
if (socket($tcp6, AF_INET6, SOCK_STREAM, 0) and bind($tcp6, Socket::pack_sockaddr_in6(0, Socket::IN6ADDR_LOOPBACK()))) { listen $tcp6, 20; watch($tcp6, "tcp6"); $port6 = port($tcp6) }
socket(my $stream, AF_UNIX, SOCK_STREAM, 0) or die; bind($stream, pack_sockaddr_un("$run/stream.sock")) or die; listen $stream, 20; watch($stream, "unix path");
socket(my $datagram, AF_UNIX, SOCK_DGRAM, 0) or die; bind($datagram, pack_sockaddr_un("$run/datagram.sock")) or die; watch($datagram, "unix datagram");
socket(my $abstract, AF_UNIX, SOCK_STREAM, 0) or die; bind($abstract, pack_sockaddr_un("\0exec-server-$nonce")) or die; listen $abstract, 20; watch($abstract, "unix abstract");
POSIX::mkfifo("$run/fifo", 0600) or die; sysopen(my $fifo, "$run/fifo", O_RDWR) or die; watch($fifo, "fifo");
my $pts = -1; my $terminal;
if (sysopen(my $master, "/dev/ptmx", O_RDWR | O_NOCTTY)) {
  my $number = pack "i", 0; ioctl($master, 0x40045431, $number); ioctl($master, 0x80045430, $number); $pts = unpack "i", $number;
  sysopen($terminal, "/dev/pts/$pts", O_RDWR | O_NOCTTY) and watch($master, "terminal");
}
my $shm = shmget(0, 4096, 01600); defined $shm or die; shmwrite($shm, $ENV{BYSTANDER_SECRET}, 0, 40) or die;
my $machine = (POSIX::uname())[4]; syscall($machine eq "aarch64" ? 196 : 30, $shm, 0, 0); shmctl($shm, 0, 0);
# A message queue: without a process to hold it it would stay, so it is removed at the end, and the end is the end of the test.
my ($open, $unlink) = $machine eq "aarch64" ? (180, 181) : (240, 241); my $queue = "exec-server-$nonce\0"; syscall($open, $queue, 0102, 0600, 0);
END { syscall($unlink, $queue) if $unlink }
$SIG{USR1} = sub { print "CONTACT signal\n" }; $SIG{HUP} = $SIG{USR1};
print join(" ", "READY", port($tcp), port($udp), $port6, $pts, $shm), "\n";
watch(\*STDIN, "");
sub look {
  my ($wait) = @_; my $bits = ""; vec($bits, $_, 1) = 1 for keys %what;
  my $count = select(my $ready = $bits, undef, undef, $wait); return 0 if $count <= 0;
  my $asked = 0;
  for my $fd (sort keys %what) {
    next unless vec($ready, $fd, 1); my ($handle, $what) = @{$what{$fd}};
    if ($what eq "") { my $n = sysread($handle, my $line, 100); exit 0 unless $n; $asked = 1; next }
    print "CONTACT $what\n";
    if ($what =~ /^(tcp|tcp6|unix path|unix abstract)$/) { accept(my $peer, $handle); close $peer if $peer } else { sysread($handle, my $bytes, 4096) }
  }
  if ($asked) { 1 while look(0); print "PONG\n" }
  return 1;
}
look(undef) while 1;
`;
