// Attacks that write into the kernel's files and devices, or leave set-uid files.
import { lstatSync, readdirSync } from "node:fs";
import { join } from "node:path";
import type { Attack } from "./attack.ts";
import { opensForWriting, ROOT_ONLY, shell } from "./attempt.ts";
import type { Scene } from "./scene.ts";
import { litterName, systemBlockDevices } from "./traces.ts";

/** A set-uid file in the root, as evidence. */
function setUidFile(scene: Scene): string | undefined {
  const found = readdirSync(scene.root, { recursive: true, encoding: "utf8" })
    .find((name) => {
      const stat = lstatSync(join(scene.root, name));
      return stat.isFile() && (stat.mode & 0o4000) !== 0;
    });
  return found && `${found} is set-uid`;
}

/** Attacks on the kernel by files. */
export const KERNEL_WRITES: readonly Attack[] = [
  opensForWriting(
    "w-proc-sys",
    "open /proc/sys for writing",
    [
      "kernel/hostname",
      "kernel/core_pattern",
      "kernel/modprobe",
      "vm/overcommit_memory",
      "net/ipv4/ip_forward",
      "fs/suid_dumpable",
    ].map((name) => `"/proc/sys/${name}"`).join(),
    {
      bare: ROOT_ONLY,
    },
  ),
  {
    id: "w-core-pattern",
    tries: "write core_pattern (the same value): a program run as the host's root",
    stoppedBy: "/proc/sys is read-only",
    program: () => ({
      perl: String.raw`
my $file = "/proc/sys/kernel/core_pattern"; my $value = slurp($file); skip("unreadable") if $value eq "";
sysopen(my $f, $file, O_WRONLY) or blocked("$!"); judge(syswrite($f, $value), "wrote $file");`,
    }),
    bare: ROOT_ONLY,
  },
  opensForWriting("w-sysrq", "open /proc/sysrq-trigger for writing", `"/proc/sysrq-trigger"`, {
    bare: "machine",
  }),
  {
    id: "w-proc-outside-attr",
    tries: "write oom_score_adj of an outside process (the same value)",
    stoppedBy: "a process namespace",
    program: (s) => ({
      perl: String.raw`
my $file = "/proc/${s.bystander.pid}/oom_score_adj"; my $value = slurp($file);
sysopen(my $f, $file, O_WRONLY) or blocked("$!"); judge(syswrite($f, $value), "wrote $file");`,
    }),
  },
  opensForWriting(
    "w-sysfs",
    "open files of /sys for writing",
    `"/sys/power/state", "/sys/kernel/mm/transparent_hugepage/enabled", "/sys/kernel/profiling", "/sys/kernel/uevent_helper", glob("/sys/module/*/parameters/*")`,
    {
      bare: ROOT_ONLY,
    },
  ),
  {
    id: "w-cgroupfs",
    tries: "make a control group",
    stoppedBy: "read-only mount",
    program: (s) => ({
      perl: String.raw`
for my $dir ("/sys/fs/cgroup", glob("/sys/fs/cgroup/*/")) {
  my $new = "$dir/${litterName(s)}"; if (mkdir $new) { rmdir $new; escaped("made $new") }
} blocked("$!");`,
    }),
    bare: { root: "machine", user: "closed" },
  },
  {
    id: "w-mknod-block",
    tries: "make a disk's device file and open it",
    stoppedBy: "no capabilities, nodev, a user namespace",
    program: () => ({
      perl: String.raw`
my @disks = (${systemBlockDevices()}); skip("no disk here") unless @disks;
for my $disk (@disks) {
  my ($major, $minor) = split /:/, $disk; my $file = "disk-$major-$minor";
  if (sys("mknod", c($file), 060600, ($major << 8) | $minor) != 0) { my $why = "$!"; unlink $file; blocked("mknod: $why") if $disk eq $disks[-1]; next }
  my $ok = sysopen(my $f, $file, O_RDONLY); my $why = "$!"; unlink $file;
  escaped("opened disk $disk") if $ok; blocked("open: $why") if $disk eq $disks[-1];
}`,
    }),
    bare: { root: "machine", user: "closed" },
  },
  {
    id: "w-device-outside",
    tries: "open a device file that lies outside /dev",
    stoppedBy: "nodev on every mount",
    program: (s) => ({
      perl: String.raw`
my $file = "${s.run}/null-device"; -c $file or skip("the test may not make one");
sysopen(my $f, $file, O_RDWR) ? escaped("opened $file") : blocked("$!");`,
    }),
    bare: "machine",
  },
  shell(
    "w-setuid-file",
    "leave a set-uid file (chmod)",
    "seccomp: mode bits",
    () => "cp /bin/cat left; chmod 4755 left",
    {
      evidence: setUidFile,
    },
  ),
  ...([
    ["fchmod", `open(my $f, ">", "left") or blocked("$!"); sys("fchmod", fileno($f), 04755);`],
    ["fchmodat", `put("left", "x"); sys("fchmodat", -100, c("left"), 04755);`],
    ["fchmodat2", `put("left", "x"); sys("fchmodat2", -100, c("left"), 04755, 0);`],
    ["openat", `sys("openat", -100, c("left"), 0101, 04755);`],
    [
      "openat-tmpfile",
      `my $fd = sys("openat", -100, c("."), 020200002, 04755); if ($fd >= 0) { sys("linkat", -100, c("/proc/self/fd/$fd"), -100, c("left"), 0x400) }`,
    ],
    ["openat2", `sys("openat2", -100, c("left"), pack("QQQ", 0101, 04755, 0), 24);`],
    ["mknod", `sys("mknodat", -100, c("left"), 0104755, 0);`],
    [
      "legacy",
      `sys("creat", c("left"), 04755); sys("open", c("left2"), 0101, 04755); sys("mknod", c("left3"), 0104755, 0); put("left4", "x"); sys("chmod", c("left4"), 04755);`,
    ],
    ["high-bits", `put("left", "x"); sys("fchmodat", -100, c("left"), 04755 | (1 << 40));`],
  ] as const).map(([how, perl]): Attack => ({
    id: `w-setuid-${how}`,
    tries: `leave a set-uid file (${how})`,
    stoppedBy: "seccomp: mode bits",
    program: () => ({ perl: `${perl} tried();` }),
    evidence: setUidFile,
    ...(how === "fchmodat2" || how === "legacy" || how === "openat-tmpfile" ? { bare: "machine" } : {}),
  })),
];
