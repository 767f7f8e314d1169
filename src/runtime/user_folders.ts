/** Where this user's things are (XDG Base Directory Specification 0.8). */
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
