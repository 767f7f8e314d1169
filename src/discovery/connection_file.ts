/**
 * How commands find a server of the same user on this machine, with its token: a file that only the user can read, in
 * a folder that only the user can look into.
 */
import { lstatSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import * as v from "valibot";
import { isRunning, readStat } from "../runtime/proc_stat.ts";
import { send } from "../runtime/signal.ts";
import { makeOwnFolder, stateFolder } from "../runtime/user_folders.ts";

/** Of a mode: its group or everyone may write. */
const WRITABLE_BY_OTHERS = 0o022;

/** What such a file says, as JSON. */
const ConnectionFile = v.object({
  version: v.literal(1),
  /** The name of its machine or container: a home folder may be shared, pids are not. */
  host: v.string(),
  pid: v.pipe(v.number(), v.integer(), v.minValue(1)),
  /** Clock ticks between the start of the machine and that of the server: pids are used again. Linux only. */
  startTime: v.optional(v.number()),
  /** When the server began to listen (RFC 3339). */
  listeningSince: v.string(),
  /** Where it listens, without a token. */
  url: v.string(),
  /** What clients send as `Authorization: Bearer`; absent where the server does not know it or wants none. */
  token: v.optional(v.string()),
});
/** How to reach one server. */
export type ServerConnection = v.InferOutput<typeof ConnectionFile>;

/** A server that is running, and its file. */
interface LocalServer extends ServerConnection {
  readonly path: string;
}

/**
 * The folder of these files: `exec-server` in XDG_RUNTIME_DIR; without that variable in `/run/user/UID`, if that is
 * ours; else `exec-server/run` in XDG_STATE_HOME or `~/.local/state` (XDG Base Directory Specification 0.8).
 */
function connectionFolder(): string {
  const named = process.env["XDG_RUNTIME_DIR"] ?? "";
  if (named.startsWith("/")) return join(named, "exec-server");
  const uid = process.getuid?.();
  const usual = `/run/user/${uid}`;
  const found = lstatSync(usual, { throwIfNoEntry: false });
  if (found?.isDirectory() && found.uid === uid) return join(usual, "exec-server");
  return join(stateFolder(), "run");
}

/**
 * Makes the folder, if it is missing: mode 0700, ours.
 * @throws the system's error; `EPERM` when the folder belongs to someone else or is a link
 */
export function makeConnectionFolder(): string {
  const folder = connectionFolder();
  makeOwnFolder(folder);
  return folder;
}

/**
 * Writes the file of this process, in one step, with mode 0600.
 * @returns removes it again; may be called twice
 * @throws the system's error
 */
export function writeConnectionFile(
  how: { readonly url: string; readonly token?: string | undefined },
  path: string,
): () => void {
  const startTime = readStat(process.pid)?.startTime;
  const content: ServerConnection = {
    version: 1,
    host: hostname(),
    pid: process.pid,
    ...(startTime !== undefined && { startTime }),
    listeningSince: new Date().toISOString(),
    url: how.url,
    ...(how.token !== undefined && { token: how.token }),
  };
  const fresh = join(dirname(path), `.${process.pid}.${Date.now()}.new`);
  try {
    writeFileSync(fresh, `${JSON.stringify(content)}\n`, { mode: 0o600, flag: "wx" });
    renameSync(fresh, path);
  } catch (error) {
    rmSync(fresh, { force: true });
    throw error;
  }
  return () => {
    if (readConnectionFile(path)?.pid === process.pid) rmSync(path, { force: true });
  };
}

/** The content of such a file; undefined when there is none that can be read. */
function readConnectionFile(path: string): ServerConnection | undefined {
  try {
    return parseConnectionFile(readFileSync(path, "utf8"));
  } catch {
    return undefined;
  }
}

/** @throws when the text is no connection file */
export function parseConnectionFile(text: string): ServerConnection {
  const value: unknown = JSON.parse(text);
  return v.parse(ConnectionFile, value);
}

/**
 * The servers of this user that are running, the youngest first. What servers left that were killed is removed. What
 * another user could have written, as XDG_RUNTIME_DIR may be theirs, is ignored: it would have us run our commands, and
 * send what we write, where they want it.
 */
export function localServers(): LocalServer[] {
  const folder = connectionFolder();
  if (!isOnlyOurs(folder, "folder")) return [];
  const servers: LocalServer[] = [];
  for (const name of namesIn(folder)) {
    const path = join(folder, name);
    if (!isOnlyOurs(path, "file")) continue;
    const server = readConnectionFile(path);
    if (server?.host !== hostname()) continue;
    if (runs(server)) servers.push({ ...server, path });
    else rmSync(path, { force: true });
  }
  return servers.sort((one, other) => other.listeningSince.localeCompare(one.listeningSince));
}

/** False for a link, too: where it points to may change. */
function isOnlyOurs(path: string, kind: "file" | "folder"): boolean {
  try {
    const found = lstatSync(path);
    if (!(kind === "file" ? found.isFile() : found.isDirectory())) return false;
    return isOurs(found) && (found.mode & WRITABLE_BY_OTHERS) === 0;
  } catch {
    return false; // there is none, or it is not ours to look at
  }
}

function isOurs({ uid }: { readonly uid: number }): boolean {
  return uid === (process.getuid?.() ?? uid);
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder).filter((name) => /^\d+\.json$/.test(name));
  } catch {
    return [];
  }
}

/** Where its start is unknown, any process with its pid counts. */
function runs({ pid, startTime }: ServerConnection): boolean {
  return startTime === undefined ? send(pid, 0) === "sent" : isRunning({ pid, startTime });
}
