// Attacks that write outside the roots.
import type { Attack } from "./attack.ts";
import { opensForWriting, ROOT_ONLY, shell } from "./attempt.ts";
import { litterName } from "./traces.ts";

const READ_ONLY = "everything but the roots is mounted read-only";

/** Attacks that write outside. */
export const WRITES: readonly Attack[] = [
  shell(
    "w-create-outside",
    "create a file outside the roots",
    READ_ONLY,
    (s) => `echo x >${s.outside}/created`,
  ),
  shell("w-append-outside", "append to a file outside", READ_ONLY, (s) => `echo x >>${s.outside}/append`),
  shell("w-unlink-outside", "unlink a file outside", READ_ONLY, (s) => `rm -f ${s.outside}/unlink`),
  shell(
    "w-rename-outside",
    "rename a file outside",
    READ_ONLY,
    (s) => `mv ${s.outside}/rename ${s.outside}/renamed`,
  ),
  shell(
    "w-truncate-outside",
    "truncate a file outside",
    READ_ONLY,
    (s) => `cp /dev/null ${s.outside}/truncate`,
  ),
  shell(
    "w-chmod-outside",
    "change the mode of a file outside",
    READ_ONLY,
    (s) => `chmod 777 ${s.outside}/chmod`,
  ),
  shell(
    "w-utime-outside",
    "change the times of a file outside",
    READ_ONLY,
    (s) => `touch ${s.outside}/utime`,
  ),
  shell(
    "w-move-over-outside",
    "move a file of the root over one outside",
    READ_ONLY,
    (s) => `mv -f plain ${s.outside}/move-over`,
  ),
  shell(
    "w-mkdir-outside",
    "make and remove folders outside",
    READ_ONLY,
    (s) => `mkdir ${s.outside}/new; rm -r ${s.outside}/folder`,
  ),
  shell("w-etc", "write below /etc", READ_ONLY, (s) => `echo x >/etc/${litterName(s)}`, {
    bare: ROOT_ONLY,
  }),
  shell("w-usr", "write below /usr", READ_ONLY, (s) => `echo x >/usr/${litterName(s)}`, {
    bare: ROOT_ONLY,
  }),
  shell("w-home", "write into the home folder", READ_ONLY, (s) => `echo x >>${s.home}/.profile`),
  shell(
    "w-symlink-existing",
    "write through a symlink that was in the root",
    "mounts hold after links are followed",
    (s) => `echo x >${s.root}/link-out; echo x >${s.root}/folder-out/through-link`,
  ),
  shell(
    "w-symlink-new",
    "write through a new symlink to a folder",
    "mounts hold after links are followed",
    (s) => `ln -s ${s.outside} new-link; echo x >new-link/through-new-link`,
  ),
  shell(
    "w-symlink-file-new",
    "write through a new symlink to a file",
    "mounts hold after links are followed",
    (s) => `ln -s ${s.outside}/via-new-file new-file-link; echo x >new-file-link`,
  ),
  shell(
    "w-hardlink-new",
    "hard link an outside file into the root",
    "another mount: EXDEV",
    (s) => `ln ${s.outside}/hardlink-target new-hard-link; echo x >>new-hard-link`,
  ),
  shell(
    "w-hardlink-existing",
    "write through a hard link that was in the root",
    "nothing",
    () => "echo x >>hardlinked",
  ),
  shell("w-dotdot", "write to root/../outside", READ_ONLY, (s) => `echo x >${s.root}/../outside/dotdot`),
  shell(
    "w-proc-self-root",
    "write through /proc/self/root",
    READ_ONLY,
    (s) => `echo x >/proc/self/root${s.outside}/self-root`,
  ),
  shell(
    "w-proc-1-root",
    "write through /proc/1/root",
    "a process namespace",
    (s) => `echo x >/proc/1/root${s.outside}/one-root`,
    {
      bare: { root: "machine", user: "closed" },
    },
  ),
  {
    id: "w-proc-ppid-root",
    tries: "write through the root of each ancestor",
    stoppedBy: "a process namespace",
    program: (s) => ({
      perl: String.raw`
my $pid = getppid;
while ($pid > 0) {
  put("/proc/$pid/root${s.outside}/ancestor-root", "x");
  $pid = slurp("/proc/$pid/status") =~ /^PPid:\s+(\d+)/m ? $1 : 0;
} tried();`,
    }),
  },
  shell(
    "w-proc-self-cwd",
    "write through /proc/self/cwd/..",
    READ_ONLY,
    () => "echo x >/proc/self/cwd/../outside/self-cwd",
  ),
  opensForWriting(
    "w-proc-exe",
    "open the program of an ancestor for writing",
    `"/proc/1/exe", "/proc/" . getppid . "/exe", "/proc/self/exe"`,
    {
      stoppedBy: "read-only, or the file is in use",
      bare: "closed",
    },
  ),
  {
    id: "w-leaked-fds",
    tries: "use a descriptor that the server or bubblewrap leaked",
    stoppedBy: "clean descriptors",
    program: () => ({
      perl: String.raw`
my @found;
for my $pid ("self", getppid, 1) {
  opendir(my $dir, "/proc/$pid/fd") or next;
  for my $fd (grep { /^\d+$/ && $_ > 2 } readdir $dir) {
    my $to = readlink("/proc/$pid/fd/$fd"); next unless defined $to;
    next if $to =~ m{^/proc/\d+/fd$} || $to =~ /^anon_inode:\[event/;
    push @found, "$pid/$fd -> $to" if $pid eq "self" || open(my $f, "+<", "/proc/$pid/fd/$fd") || -d "/proc/$pid/fd/$fd";
  }
}
@found ? escaped(@found) : blocked("nothing above 2");`,
    }),
    bare: "machine",
  },
  {
    id: "w-ftruncate-read-only",
    tries: "reopen a read-only descriptor of an outside file for writing",
    stoppedBy: READ_ONLY,
    program: (s) => ({
      perl: String.raw`
open(my $f, "<", "${s.outside}/truncate") or die; put("/proc/self/fd/" . fileno($f), "x"); tried();`,
    }),
  },
];
