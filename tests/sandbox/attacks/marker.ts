// How a program inside tells its verdict: one line with a word that nothing else prints.
import process from "node:process";
import { syscallNumbersOf } from "./syscalls.ts";
import type { Program } from "./attack.ts";

const WORDS = ["ESCAPED", "BLOCKED", "SKIP", "TRIED", "WORKS", "FAILS"] as const;

/** TRIED: it did what it could, and whether it came through is to be seen outside. */
export type Word = (typeof WORDS)[number];

/** The command line of a program. `nonce` marks its lines, and its processes for whoever cleans up. */
export function argvOf(program: Program, nonce: string): string[] {
  if ("sh" in program) {
    const say = `say() { printf '\\n@@%s %s\\n' '${nonce}' "$*"; }\n`;
    return ["/bin/sh", "-c", say + program.sh, nonce];
  }
  return ["/usr/bin/perl", "-e", prelude(nonce) + program.perl, nonce];
}

/** The last word that a program said. */
export function wordIn(output: string, nonce: string): { word: Word; detail: string } | undefined {
  const lines = output.split(/[\r\n]+/).filter((line) => line.startsWith(`@@${nonce} `));
  const [, name, ...detail] = lines.at(-1)?.split(" ") ?? [];
  const word = WORDS.find((known) => known === name);
  return word === undefined ? undefined : { word, detail: detail.join(" ").trim() };
}

/** What every perl program can use. A `die` says no word, and so does a mistake: both end as ERROR. */
function prelude(nonce: string): string {
  const numbers = Object.entries(syscallNumbersOf(process.arch)).map(([name, number]) =>
    `${name}=>${number}`
  );
  return String.raw`
use strict; use warnings; use POSIX (); use Socket; use Fcntl qw(:DEFAULT :flock :mode);
$| = 1; umask 0;
my %NR = (${numbers.join(",")});
sub word { print STDOUT "\n\@\@${nonce} ", join(" ", @_), "\n"; POSIX::_exit(0) }
sub escaped { word("ESCAPED", @_) }
sub blocked { word("BLOCKED", @_) }
sub skip { word("SKIP", @_) }
sub tried { word("TRIED", @_) }
# A C string of its own: perl refuses to hand the kernel a literal.
sub c { my $copy = $_[0] . "\0"; return $copy }
# Arguments are passed by reference to what the caller holds, so that the kernel can write into buffers.
sub sys { my $name = shift; my $number = $NR{$name}; skip("no $name here") unless defined $number; $! = 0; return syscall($number, @_) }
# Escaped when the call succeeds, else blocked with the reason.
sub judge { my ($result, $what) = @_; defined $result && $result != -1 ? escaped($what) : blocked("$what: $!") }
sub slurp { my ($path) = @_; open(my $f, "<", $path) or return ""; local $/; my $t = <$f>; return defined $t ? $t : "" }
sub put { my ($path, $text) = @_; open(my $f, ">>", $path) or return 0; print $f $text; return close $f }
# In a child of its own: what it does to itself does not matter afterwards. Its exit code, or 1000 + signal.
sub child { my ($code) = @_; my $pid = fork; die "fork: $!" unless defined $pid; if (!$pid) { my $r = eval { $code->() }; POSIX::_exit(defined $r ? $r : 99) } waitpid($pid, 0); return $? & 127 ? 1000 + ($? & 127) : $? >> 8 }
`;
}
