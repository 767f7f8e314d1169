/** Where this user's things are (XDG Base Directory Specification 0.8). */
import { chmodSync, lstatSync, mkdirSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import process from "node:process";

/** The home folder. Bun's `homedir()` keeps what HOME was at the start, which `--user` changes. */
export function homeFolder(): string {
  return process.env["HOME"] || homedir();
}

/** Our folder for what survives a restart: `exec-server` in XDG_STATE_HOME, else in `~/.local/state`. */
export function stateFolder(): string {
  const named = process.env["XDG_STATE_HOME"] ?? "";
  return join(named.startsWith("/") ? named : join(homeFolder(), ".local", "state"), "exec-server");
}

/**
 * Makes a folder of ours, if it is missing, and closes it to others. One that somebody else put there first, or a link
 * to another place, would let them choose what we write where.
 * @throws the system's error; `EPERM` when it is no folder, or not ours
 */
export function makeOwnFolder(path: string): void {
  mkdirSync(path, { recursive: true, mode: 0o700 });
  const found = lstatSync(path);
  if (!found.isDirectory() || found.uid !== (process.getuid?.() ?? found.uid)) {
    throw Object.assign(new Error(`${path} is no folder of this user`), { code: "EPERM" });
  }
  if ((found.mode & 0o077) !== 0) chmodSync(path, 0o700);
}
