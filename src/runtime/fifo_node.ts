/** A pool of FIFOs for Node, whose own pipes are sockets. `mkfifo` makes many at once, ahead of time. */
import { execFile } from "node:child_process";
import { closeSync, constants, mkdtempSync, openSync, rmSync, unlinkSync } from "node:fs";
import { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import type { Readable } from "node:stream";
import { promisify } from "node:util";

/** How many FIFOs one `mkfifo` makes: its start (about 2 ms) is shared by so many streams. */
const BATCH = 48;

/** An open FIFO that no longer has a name. */
export interface Fifo {
  readonly writeEnd: number;
  readonly stream: Readable;
}

let folder: string | undefined;
let pool: string[] = [];
let refill: Promise<void> | undefined;
let made = 0;

/** An open FIFO, or undefined where none can be made (no `mkfifo`): use the runtime's own pipes then. */
export async function takeFifo(): Promise<Fifo | undefined> {
  if (process.platform === "win32") return undefined;
  if (pool.length === 0) {
    refill ??= fill().finally(() => refill = undefined);
    await refill.catch(() => {});
  }
  const path = pool.pop();
  if (path === undefined) return undefined;
  // Our end first: opening the other one would wait for a reader.
  const readEnd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const writeEnd = openSync(path, constants.O_WRONLY);
    return { writeEnd, stream: new Socket({ fd: readEnd, readable: true, writable: false }) };
  } catch (error) {
    closeSync(readEnd);
    throw error;
  } finally {
    unlinkSync(path);
  }
}

async function fill(): Promise<void> {
  if (folder === undefined) {
    const created = mkdtempSync(join(tmpdir(), "exec-server-fifo-"));
    folder = created;
    process.on("exit", () => rmSync(created, { recursive: true, force: true }));
  }
  const paths: string[] = [];
  for (let count = 0; count < BATCH; count++) paths.push(join(folder, String(made++)));
  await promisify(execFile)("mkfifo", ["-m", "600", ...paths]);
  pool = paths;
}
