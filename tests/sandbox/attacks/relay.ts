// Stands in for the server: starts one program as another user, on pipes or on a terminal, and passes its output on.
// It has a secret in its environment, as servers do, and tells when a signal reaches it.
import type { Buffer } from "node:buffer";
import { spawn } from "node:child_process";
import process from "node:process";
import { register, send } from "../../harness/program.ts";
import type { AttackProcess, Outcome } from "./attack.ts";

/** What to start. */
export interface RelayOptions {
  readonly argv: readonly string[];
  readonly uid: number;
  readonly tty: boolean;
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  /** The relay's own, never the program's. */
  readonly secret: string;
  /** Ours, to be the program's from 3 on; a pipe is read and forgotten. */
  readonly descriptors?: readonly (number | "pipe")[];
}

/** Starts a program. */
export function startRelayed(options: RelayOptions): AttackProcess {
  const { argv, uid, tty, cwd, env, secret, descriptors = [] } = options;
  const environment = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  const child = spawn("/usr/bin/perl", [
    ...["-e", PROGRAM, tty ? "tty" : "pipe", cwd, `${descriptors.length}`, `${environment.length}`],
    ...environment,
    ...argv,
  ], {
    ...(process.getuid?.() === 0 ? { uid, gid: uid } : {}),
    cwd: "/",
    detached: true,
    env: { PATH: "/usr/bin:/bin", SERVER_SECRET: secret },
    stdio: ["ignore", "pipe", "pipe", ...descriptors],
  });
  const pid = child.pid ?? 0;
  if (pid > 0) register(pid, child);
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on("data", (bytes: Buffer) => output += bytes.toString("latin1"));
  }
  for (const stream of child.stdio.slice(3)) {
    stream?.on("error", () => {});
    if (stream && "resume" in stream) stream.resume();
  }
  return {
    ended: new Promise<Outcome>((ok, fail) => {
      child.once("error", fail);
      child.once("close", (code, signal) => ok({ output, how: signal ?? `code ${code}` }));
    }),
    kill: () => pid > 1 && send(-pid, "SIGKILL"),
  };
}

const PROGRAM = String.raw`
use strict; use warnings; use POSIX (); use Fcntl;
my ($mode, $cwd, $count, $variables, @rest) = @ARGV; $| = 1; $^F = 255;
my %env = map { /^([^=]+)=(.*)$/s ? ($1, $2) : () } splice(@rest, 0, $variables);
# What the test itself inherited without close-on-exec would be the program's.
for my $fd (4 + $count - 1 .. 300) { POSIX::close($fd) }
my ($from, $into, $name);
if ($mode eq "tty") {
  sysopen($from, "/dev/ptmx", O_RDWR | O_NOCTTY) or die "ptmx: $!"; my $n = pack "i", 0;
  ioctl($from, 0x40045431, $n) or die; ioctl($from, 0x80045430, $n) or die; $name = "/dev/pts/" . unpack("i", $n);
} else { pipe($from, $into) or die }
my $pid = fork; die "fork: $!" unless defined $pid;
if (!$pid) {
  close $from; POSIX::setsid();
  if ($mode eq "tty") { sysopen($into, $name, O_RDWR) or die "$name: $!"; POSIX::dup2(fileno $into, 0) }
  else { POSIX::close(0); open(STDIN, "<", "/dev/null") }
  POSIX::dup2(fileno $into, $_) for 1, 2; close $into if fileno $into > 2;
  chdir $cwd or die "$cwd: $!"; %ENV = %env; exec { $rest[0] } @rest; die "exec: $!";
}
close $into if $into; POSIX::close($_) for 3 .. 2 + $count;
$SIG{$_} = sub { syswrite STDOUT, "SERVER-WAS-SIGNALLED\n" } for "USR1", "HUP", "TERM";
while (1) { my $n = sysread($from, my $bytes, 65536); next if !defined $n && $!{EINTR}; last unless $n; syswrite STDOUT, $bytes }
1 while waitpid($pid, 0) < 0 && $!{EINTR};
exit($? & 127 ? 128 + ($? & 127) : $? >> 8);
`;
