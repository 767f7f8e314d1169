// A systemd of our own: PID 1 of namespaces of its own, with no units but those that are given. Needs root.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import process from "node:process";
import { findCgroup, isPopulated, removeCgroup } from "../../src/process/cgroup_tree.ts";
import { childrenOf, until } from "../harness/proc.ts";
import { register } from "../harness/program.ts";
import { tempDir } from "../harness/temp.ts";

const SYSTEMD = "/usr/lib/systemd/systemd";
const COMMAND_LIMIT_MS = 60_000;
const TARGET = "under-test.target";
/** What units want of a distribution; here there is nothing in it. */
const TARGETS = ["sysinit.target", "basic.target", "shutdown.target", "network-online.target"];

/** What there is in it. */
export interface SystemdOptions {
  /** The unit that is started: a file. */
  readonly unit: string;
  /** The program that is `/usr/local/bin/exec-server`. */
  readonly program: string;
  /** Files in `/media` that only root may read, by name. */
  readonly files: Readonly<Record<string, string>>;
  /** The user of the unit, and its group. */
  readonly user: { readonly name: string; readonly id: number; readonly home: string };
}

/** A running systemd. */
export interface Systemd {
  /** Runs a program beside it, as root, in its namespaces. */
  run(
    ...argv: string[]
  ): { readonly status: number | null; readonly stdout: string; readonly stderr: string };
  /** What it has said. */
  log(): string;
  stop(): Promise<void>;
}

/** True where {@link bootSystemd} can work. */
export function canBootSystemd(): boolean {
  return process.getuid?.() === 0 && existsSync(SYSTEMD) && ownCgroup() !== undefined;
}

function ownCgroup(): string | undefined {
  const read = (name: string) => readFileSync(`/proc/self/${name}`, "utf8");
  return findCgroup(read("mountinfo"), read("cgroup"));
}

/** $1 is the test's folder, $2 the program. Everything that is written to is gone with the mounts. */
const BOOT = `
set -e
mount --make-rprivate /
mount --bind "$2" "$1/bin/exec-server"
mount --rbind "$1" /media
mount --bind /media/console /dev/console
mount --bind /media/passwd /etc/passwd
mount --bind /media/group /etc/group
mount --rbind /media/bin /usr/local/bin
for folder in /run /tmp /var/tmp /var/lib /var/log /var/cache; do
  mount -t tmpfs -o mode=1777 test $folder
done
# Not one above the other: where a second /proc is in sight the kernel lets a sandbox mount what it else would not.
umount -R -l /proc
mount -t proc proc /proc
umount -R -l /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
# As at a real boot: credentials are mounted in one namespace and looked for in another.
mount --make-rshared /
export container=test SYSTEMD_UNIT_PATH=/media/units
cd /
exec ${SYSTEMD} --system --unit=${TARGET} --log-target=console --log-level=info --show-status=no
`;

/** Boots it, and waits until the unit has been started, or has failed. */
export async function bootSystemd({ unit, program, user, files }: SystemdOptions): Promise<Systemd> {
  const folder = tempDir();
  for (const name of ["bin", "units"]) mkdirSync(join(folder, name));
  const put = (name: string, text: string) => writeFileSync(join(folder, name), text);
  put("bin/exec-server", "");
  put("console", "");
  const account = `${user.name}:x:${user.id}:`;
  put("passwd", `${readFileSync("/etc/passwd", "utf8")}${account}${user.id}::${user.home}:/bin/sh\n`);
  put("group", `${readFileSync("/etc/group", "utf8")}${account}\n`);
  for (const [name, content] of Object.entries(files)) {
    writeFileSync(join(folder, name), content, { mode: 0o600 });
  }
  const name = basename(unit);
  put(`units/${name}`, readFileSync(unit, "utf8"));
  const quiet = "[Unit]\nDefaultDependencies=no\n";
  for (const target of TARGETS) put(`units/${target}`, quiet);
  put(`units/${TARGET}`, `${quiet}Wants=${name}\nAfter=${name}\n`);

  const cgroup = join(ownCgroup() ?? "", `exec-server-test-${crypto.randomUUID().slice(0, 8)}`);
  mkdirSync(cgroup);
  const flags = [
    "--pid",
    "--mount",
    "--cgroup",
    "--ipc",
    "--uts",
    "--net",
    "--fork",
    "--kill-child",
  ];
  const enter = 'echo $$ > "$1/cgroup.procs"; shift; exec "$@"';
  const child = spawn(
    "sh",
    ["-c", enter, "sh", cgroup, "unshare", ...flags, "sh", "-c", BOOT, "boot", folder, program],
    { stdio: ["ignore", "inherit", "inherit"], detached: true },
  );
  const pid = child.pid ?? 0;
  register(pid, child);
  const exited = once(child, "exit");
  let init = 0;
  await until("systemd runs", () => (init = childrenOf(pid)[0] ?? 0) > 0);
  const systemd: Systemd = {
    log: () => readFileSync(join(folder, "console"), "utf8"),
    run(...argv) {
      const inside = ["-t", String(init), "-m", "-u", "-i", "-n", "-p", "-C", "--", ...argv];
      return spawnSync("nsenter", inside, { encoding: "utf8", timeout: COMMAND_LIMIT_MS });
    },
    async stop() {
      process.kill(pid, "SIGKILL"); // takes the namespace along
      await exited;
      await until("nothing of it runs", () => !isPopulated(cgroup));
      removeCgroup(cgroup);
    },
  };
  const state = () => systemd.run("systemctl", "is-active", name).stdout.trim();
  await until("the unit is started", () => ["active", "failed"].includes(state()));
  return systemd;
}
