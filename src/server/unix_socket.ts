/** Listening on a Unix socket that only its owner may use. */
import { Buffer } from "node:buffer";
import { randomBytes } from "node:crypto";
import { linkSync, lstatSync, renameSync, statSync, unlinkSync } from "node:fs";
import { connect, type Server } from "node:net";
import { basename, dirname, join } from "node:path";
import process from "node:process";
import { ExecServerError, hasCode } from "../protocol/error.ts";

/** What a socket's file does not get: it has mode 0600. */
const UMASK = 0o177;
/** Of the name under which a socket is made, in bytes; never longer than its own name, which just fits perhaps. */
const MAKING_NAME_BYTES = 12;

/**
 * Makes room for a socket: removes what a server that was killed has left there.
 * @throws ExecServerError `EADDRINUSE` when somebody answers there, `EEXIST` when it is no socket, `ENOENT` without
 * its folder
 */
export async function clearStaleSocket(path: string): Promise<void> {
  const folder = dirname(path);
  if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory()) { // Node's error for it is EACCES
    throw new ExecServerError(
      "ENOENT",
      `cannot listen on unix:${path}: there is no folder ${folder}; make it first`,
    );
  }
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isSocket()) {
    throw new ExecServerError(
      "EEXIST",
      `cannot listen on unix:${path}: there is something else than a socket, and it is left alone; remove it or choose another path`,
    );
  }
  if (await isStale(path)) return unlinkSync(path);
  throw new ExecServerError("EADDRINUSE", `cannot listen on unix:${path}: a program listens there already`);
}

/** Only a refusal tells that nobody listens: a full queue or a missing permission does not. */
function isStale(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    const answer = (stale: boolean) => {
      socket.destroy();
      resolve(stale);
    };
    socket.once("connect", () => answer(false));
    socket.once("error", (error) => answer(hasCode(error) && error.code === "ECONNREFUSED"));
  });
}

/**
 * The path under which a socket is made, beside its own. The runtime removes the path that it was told to listen at,
 * whatever is there by then: so that must not be the one that others come to.
 */
export function makingPath(path: string): string {
  const bytes = Math.min(Buffer.byteLength(basename(path)), MAKING_NAME_BYTES);
  return join(dirname(path), randomBytes(bytes).toString("hex").slice(0, bytes));
}

/** Listens. The socket's file is never accessible to others: it is made, within the call, under this umask. */
export function listenPrivately(server: Server, path: string): void {
  const before = process.umask(UMASK);
  try {
    server.listen(path);
  } finally {
    process.umask(before);
  }
}

/**
 * Gives a socket its own name.
 * @returns removes the socket, unless something else has that name by then
 * @throws ExecServerError `EADDRINUSE` when something has come there meanwhile, or the system's error
 */
export function nameSocket(making: string, path: string): () => void {
  const { dev, ino } = lstatSync(making);
  try {
    linkSync(making, path); // never replaces anything
    unlinkSync(making);
  } catch (error) {
    if (hasCode(error) && error.code === "EEXIST") {
      throw new ExecServerError(
        "EADDRINUSE",
        `cannot listen on unix:${path}: something has come there just now`,
      );
    }
    renameSync(making, path); // a file system without hard links
  }
  return () => {
    try {
      const found = lstatSync(path);
      if (found.dev === dev && found.ino === ino) unlinkSync(path);
    } catch {
      // gone, or not ours to remove any more: it stays, as after a kill
    }
  };
}
