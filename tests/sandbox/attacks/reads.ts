// Attacks that read what the policy denies. A secret holds a token that is in no script: it is looked for in the output.
import type { Attack } from "./attack.ts";
import { perl, shell } from "./attempt.ts";

const MASK = "a mask over the path";
/** Enters new namespaces as far as it gets, then does the rest as their root. */
const inNamespace = (rest: string) =>
  String.raw`
my ($uid, $gid) = ($>, $) + 0);
child(sub {
  my $flags = 0x10000000 | 0x00020000;
  sys("unshare", $flags) == 0 or sys("unshare", 0x00020000) == 0 or print "unshare: $!\n";
  put("/proc/self/setgroups", "deny"); put("/proc/self/uid_map", "0 $uid 1"); put("/proc/self/gid_map", "0 $gid 1");
  sys("mount", c("none"), c("/"), c(""), 0x44000, 0);
  ${rest}
  return 0;
}); tried();`;

/** Attacks that read denied files. */
export const READS: readonly Attack[] = [
  shell("r-denied-file", "read a denied file", MASK, () => "cat .env"),
  shell("r-denied-outside", "read in a denied folder", MASK, (s) => `cat ${s.secret}/token`),
  shell("r-denied-list", "list a denied folder", MASK, (s) => `ls -la ${s.secret}; echo ${s.secret}/*`),
  shell(
    "r-denied-glob",
    "read a file that a denied pattern matches",
    "a mask, found at the start",
    () => "cat keys/server.pem",
  ),
  shell(
    "r-symlink-existing",
    "read through a symlink that was in the root",
    "a mask at the real path",
    () => "cat link-secret",
  ),
  shell(
    "r-symlink-new",
    "read through a new symlink",
    "a mask at the real path",
    (s) => `ln -s .env l1; cat l1; ln -s ${s.secret} l2; cat l2/token`,
  ),
  shell(
    "r-alias-dir",
    "read through another name of the folder",
    "a mask at the real path",
    (s) => `cat ${s.outside}/alias/token`,
  ),
  shell(
    "r-hardlink-existing",
    "read through a hard link that was in the root",
    "nothing",
    () => "cat hardlinked-secret",
  ),
  shell(
    "r-hardlink-new",
    "read through a new hard link",
    "another mount: EXDEV",
    (s) => `ln .env l1; cat l1; ln ${s.secret}/token l2; cat l2; ln box/private/token l3; cat l3`,
  ),
  shell(
    "r-proc-self-root",
    "read through /proc/self/root",
    MASK,
    (s) => `cat /proc/self/root${s.secret}/token`,
  ),
  shell(
    "r-proc-1-root",
    "read through /proc/1/root",
    MASK,
    (s) => `cat /proc/1/root${s.secret}/token`,
    { root: "machine", user: "closed" },
  ),
  shell(
    "r-rename-parent",
    "rename the parent of a denied folder, then read",
    "the folders above a mask are mount points: EBUSY",
    () =>
      "mv box box2; cat box2/private/token; mv box2 box; mv keys keys2; cat keys2/server.pem; mv keys2 keys",
  ),
  shell(
    "r-rename-mask",
    "move the denied file away, then read",
    "a mount point cannot be renamed: EBUSY",
    (s) => `mv .env moved; cat moved; mv ${s.secret} moved2; cat moved2/token`,
  ),
  shell(
    "r-remove-mask",
    "remove the mask, then read",
    "a mount point cannot be removed: EBUSY",
    () => "cp .env copy; rm -f .env; cat copy .env; rmdir box/private; cat box/private/token",
  ),
  shell(
    "r-chmod-mask",
    "change the mode of the mask",
    "the mask is read-only",
    (s) => `chmod 777 ${s.secret} .env box/private; cat ${s.secret}/token .env box/private/token`,
  ),
  perl(
    "r-umount-mask",
    "unmount the mask",
    "no capabilities",
    (s) =>
      String.raw`for my $path ("${s.secret}", ".env", "box/private") { sys("umount2", c($path), 2); }
print slurp("${s.secret}/token"), slurp(".env"), slurp("box/private/token"); tried();`,
  ),
  perl(
    "r-userns-bind",
    "bind the tree elsewhere in a new user namespace",
    "seccomp, locked mounts",
    (s) =>
      inNamespace(String.raw`
for my $flags (0x1000, 0x5000) { sys("mount", c("${s.base}"), c("mnt"), c(""), $flags, 0); print slurp("mnt/secret/token"), slurp("mnt/work/.env"); sys("umount2", c("mnt"), 2) }`),
  ),
  perl(
    "r-userns-umount",
    "unmount the mask in a new user namespace",
    "seccomp, locked mounts",
    (s) =>
      inNamespace(String.raw`
sys("umount2", c("${s.secret}"), 2); sys("umount2", c("${s.root}/.env"), 2); print slurp("${s.secret}/token"), slurp(".env");`),
  ),
  perl(
    "r-userns-pivot",
    "change the root of a new user namespace",
    "seccomp, locked mounts",
    (s) =>
      inNamespace(String.raw`
sys("mount", c("/"), c("mnt"), c(""), 0x5000, 0); chdir "mnt"; sys("pivot_root", c("."), c(".")); sys("umount2", c("."), 2); chdir "/";
print slurp("${s.secret}/token");`),
  ),
  perl(
    "r-open-by-handle",
    "open files by handle, past all paths",
    "no CAP_DAC_READ_SEARCH, seccomp",
    () =>
      String.raw`
my $handle = pack("Ii", 128, 0) . ("\0" x 128); my $mount = pack("i", 0);
sys("name_to_handle_at", -100, c("plain"), $handle, $mount, 0) == 0 or blocked("name_to_handle_at: $!");
open(my $dir, "<", ".") or die; judge(sys("open_by_handle_at", fileno($dir), $handle, 0), "open_by_handle_at");`,
    { root: "machine", user: "closed" },
  ),
  perl("r-raw-devices", "read disks and memory directly", "an own /dev, masks in /proc", () =>
    String.raw`
my @seen; for my $file (glob("/dev/[svx]d[a-z]* /dev/nvme* /dev/mem /dev/port /dev/dm-* /proc/kcore /old_root/dev/vda")) {
  next if -d $file; sysopen(my $f, $file, O_RDONLY) or next; push @seen, $file if (sysread($f, my $b, 16) || 0) > 0;
} @seen ? escaped(@seen) : blocked("$!");`, { root: "machine", user: "closed" }),
  perl(
    "r-kmsg",
    "read the kernel's log",
    "an own /dev, seccomp: syslog",
    () =>
      String.raw`
escaped("/dev/kmsg") if sysopen(my $f, "/dev/kmsg", O_RDONLY | O_NONBLOCK);
my $buffer = "\0" x 4096; my $n = sys("syslog", 3, $buffer, 4096); $n > 0 ? escaped("syslog gave $n bytes") : blocked("$!");`,
    { root: "open", user: "machine" },
  ),
  perl(
    "r-parent-environ",
    "read the environment of the server and of bubblewrap",
    "a process namespace; bubblewrap gets the child's environment",
    () =>
      String.raw`
my $pid = getppid; while ($pid > 0) { print slurp("/proc/$pid/environ"); $pid = slurp("/proc/$pid/status") =~ /^PPid:\s+(\d+)/m ? $1 : 0 }
print slurp("/proc/1/environ"); tried();`,
  ),
  shell(
    "r-own-environ",
    "find the server's secrets in the own environment",
    "the environment is made for the child",
    () => "env; cat /proc/self/environ",
    "closed",
  ),
  perl(
    "r-proc-fdinfo",
    "read outside through descriptors of other processes",
    "a process namespace",
    () =>
      String
        .raw`for my $file (glob("/proc/[0-9]*/fd/*")) { my $to = readlink($file) || ""; print slurp($file) if $to =~ m{/(secret|\.env)} } tried();`,
    "closed",
  ),
];
