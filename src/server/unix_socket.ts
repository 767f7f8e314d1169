/** Listening on a Unix socket that only its owner may use. */
import { lstatSync, statSync, unlinkSync } from "node:fs";
import { connect, type Server } from "node:net";
import { dirname } from "node:path";
import process from "node:process";
import { ExecServerError, hasCode } from "../protocol/error.ts";

/** What a socket's file does not get: it has mode 0600. */
const UMASK = 0o177;

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

/** Listens. The socket's file is never accessible to others: it is made, within the call, under this umask. */
export function listenPrivately(server: Server, path: string): void {
  const before = process.umask(UMASK);
  try {
    server.listen(path);
  } finally {
    process.umask(before);
  }
}
