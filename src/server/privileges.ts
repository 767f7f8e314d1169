/** Root, and how to be it no longer. */
import { accessSync, constants, readdirSync, readFileSync } from "node:fs";
import process from "node:process";
import type { Account } from "./account.ts";

/** Variables that name folders of whoever logged in (pam_tmpdir(8), pam_systemd(8)). */
const ROOTS_FOLDERS = ["TMPDIR", "XDG_RUNTIME_DIR", "XDG_STATE_HOME"];

/** What the log says to root. */
export const ROOT_WARNING = "running as root: whoever can connect is root here; use --user NAME " +
  "(--log-level error hides this)";

/**
 * True for the root of the machine. Not for the root of a user namespace, who is somebody else outside, and not for
 * PID 1: in a container nearly everything runs as root, and its limits are drawn from outside.
 */
export function isRealRoot(): boolean {
  if (process.getuid?.() !== 0 || process.pid === 1) return false;
  try {
    return /^\s*0\s+0\s+4294967295\s*$/.test(readFileSync("/proc/self/uid_map", "latin1"));
  } catch {
    return true; // no user namespaces
  }
}

/**
 * Becomes another user for good: groups, group, user, in this order, since each step takes the right to the one before.
 * HOME, USER, LOGNAME and SHELL become that user's; TMPDIR, XDG's folders and the working directory stay, unless the
 * user may not use them.
 * @throws Error when it cannot be done, or could be undone
 */
export function dropPrivileges(account: Account): void {
  const { uid, gid, name } = account;
  if (process.geteuid?.() !== 0) {
    throw new Error("--user needs root: start the server as root, or without it");
  }
  const initgroups = findInitgroups();
  if (!process.setgroups || !initgroups || !process.setgid || !process.setuid) {
    throw new Error("--user cannot be had under Deno, which has no setgroups: use the compiled program");
  }
  if (name === undefined) process.setgroups([gid]);
  else initgroups(name, gid);
  process.setgid(gid);
  process.setuid(uid);
  requireDropped(account);
  process.env["HOME"] = account.home;
  process.env["USER"] = process.env["LOGNAME"] = name ?? String(uid);
  process.env["SHELL"] = account.shell;
  for (const name of ROOTS_FOLDERS) {
    if (!mayUse(process.env[name] ?? "", constants.W_OK)) delete process.env[name];
  }
  enterReadable([process.cwd(), account.home, "/"]);
}

/** initgroups(3), which the types of Node do not know. */
function findInitgroups(): ((user: string, group: number) => void) | undefined {
  const found: unknown = Reflect.get(process, "initgroups");
  if (typeof found !== "function") return undefined;
  return (user, group) => void Reflect.apply(found, process, [user, group]);
}

/** All threads: the kernel knows users of threads only, and one that is still root could be made to work for us. */
function requireDropped({ uid, gid }: Account): void {
  const tasks = "/proc/self/task";
  for (const task of readdirSync(tasks)) {
    const status = readFileSync(`${tasks}/${task}/status`, "latin1");
    const row = (name: string) => new RegExp(`^${name}:\\s*(.*)$`, "m").exec(status)?.[1]?.trim() ?? "";
    const ids = (id: number) => Array(4).fill(String(id)).join("\t");
    const capabilities = ["CapInh", "CapPrm", "CapEff", "CapAmb"].map(row).join("");
    if (row("Uid") !== ids(uid) || row("Gid") !== ids(gid) || /[^0]/.test(capabilities)) throw stillRoot();
  }
  for (const regain of [() => process.setuid?.(0), () => process.setgroups?.([0])]) {
    let failed = false;
    try {
      regain();
    } catch {
      failed = true;
    }
    if (!failed) throw stillRoot();
  }
}

function stillRoot(): Error {
  return new Error("--user: privileges are left, or could be regained: nothing was served");
}

function enterReadable(folders: readonly string[]): void {
  const folder = folders.find((each) => mayUse(each, constants.R_OK));
  if (folder !== undefined) process.chdir(folder);
}

function mayUse(folder: string, how: number): boolean {
  try {
    accessSync(folder, how | constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
