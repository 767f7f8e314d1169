// What attacks leave on the host when they come through, each with the scene's nonce in its name, and its removal.
import { readdirSync, readFileSync, rmdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { send } from "../../harness/program.ts";
import type { Scene } from "./scene.ts";

/** The name of a file that an attack makes outside the scene. */
export const litterName = (scene: Scene): string => `exec-server-${scene.nonce}`;

const SHARED_FOLDERS = ["/tmp", "/var/tmp", "/dev/shm", "/dev/mqueue", "/run", "/etc", "/usr"];

/** Files of this scene in folders that everybody shares. */
export function litter(scene: Scene): string[] {
  return SHARED_FOLDERS.map((folder) => join(folder, litterName(scene))).filter((path) => {
    try {
      return readdirSync(join(path, "..")).includes(litterName(scene));
    } catch {
      return false; // no such folder here
    }
  });
}

/** Processes of this scene's attacks that run on the host, inside a sandbox or not. */
export function leftProcesses(scene: Scene): number[] {
  return readdirSync("/proc").filter((name) => /^\d+$/.test(name)).map(Number).filter((pid) => {
    if (pid === process.pid || pid === scene.bystander.pid) return false;
    try {
      const words = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
      const state = readFileSync(`/proc/${pid}/stat`, "latin1");
      return words.includes(scene.nonce) && !["Z", "X"].includes(state.charAt(state.lastIndexOf(")") + 2));
    } catch {
      return false; // it has ended
    }
  });
}

/** Ends and removes all of it. */
export async function cleanUp(scene: Scene): Promise<void> {
  for (const pid of leftProcesses(scene)) send(pid, "SIGKILL");
  for (let tries = 0; tries < 200 && leftProcesses(scene).length > 0; tries++) {
    for (const pid of leftProcesses(scene)) send(pid, "SIGKILL"); // one may have forked
    await new Promise((ok) => setTimeout(ok, 10)); // the end of a process that is not ours gives no event
  }
  for (const path of litter(scene)) rmSync(path, { recursive: true, force: true });
  for (const folder of ["/sys/fs/cgroup", ...cgroupFolders()]) {
    try {
      rmdirSync(join(folder, litterName(scene)));
    } catch {
      // the attack has removed its own, as it should
    }
  }
}

function cgroupFolders(): string[] {
  try {
    return readdirSync("/sys/fs/cgroup").map((name) => `/sys/fs/cgroup/${name}`);
  } catch {
    return [];
  }
}

/** The disks of this machine as a perl list of "major:minor". */
export function systemBlockDevices(): string {
  try {
    return readdirSync("/sys/block").filter((name) => !/^(loop|ram|zram)/.test(name))
      .map((name) => `"${readFileSync(`/sys/block/${name}/dev`, "utf8").trim()}"`).join(", ");
  } catch {
    return "";
  }
}
