/**
 * The file of an audit log: lines are appended in order, whole, without anybody waiting for it.
 *
 * It is looked up by its name before each write. When another file has that name, or none has (logrotate(8) renames),
 * the next line goes to a new one. So rotating takes no signal; `copytruncate` works because of O_APPEND.
 */
import { Buffer } from "node:buffer";
import { constants } from "node:fs";
import { type FileHandle, open, stat } from "node:fs/promises";
import { hasCode } from "../protocol/error.ts";
import { appendSome } from "../runtime/append.ts";

/** What waits for the disk at most, in bytes: about 40,000 lines. */
export const MAX_HELD_BYTES = 8 * 1024 * 1024;
/** From here on what can be refused is refused, so that there is room for what cannot. */
const HIGH_WATER_BYTES = MAX_HELD_BYTES / 2;
/** A write that failed is tried again so much later, in ms. */
const RETRY_MS = 1_000;
/** What the last lines get at the end, in ms: a dead disk must not hold up the end. */
const CLOSE_LIMIT_MS = 2_000;
/** Nobody but the owner: what was run where is nobody else's business. */
const MODE = 0o600;
const NEWLINE = 0x0a;

/** An open audit log. */
export interface AuditFile {
  /** Hands over a line, which ends with a newline. False: no room, it is lost. */
  append(line: string): boolean;
  /** Why lines do not reach the file at present. */
  readonly problem: string | undefined;
  /** Resolves when everything has been written, or could not be. */
  settled(): Promise<void>;
  /** Writes what is left, and closes. Resolves after 2 s at the latest. */
  close(): Promise<void>;
}

/** An open file, and which one it is. */
interface Opened {
  readonly handle: FileHandle;
  readonly device: number;
  readonly inode: number;
}

/**
 * Opens the log.
 * @param changed called when a write has failed, or works again
 * @throws when it cannot be opened, or is no file
 */
export async function openAuditFile(path: string, changed: () => void = () => {}): Promise<AuditFile> {
  let file = await openAt(path);
  let waiting: string[] = [];
  let waitingBytes = 0;
  let batch: { readonly bytes: Buffer; at: number } | undefined;
  let problem: string | undefined;
  let running: Promise<void> | undefined;
  let attempts: (() => void)[] = [];
  let wake: (() => void) | undefined;
  let closing = false;

  const heldBytes = () => waitingBytes + (batch ? batch.bytes.length - batch.at : 0);

  /** Goes on in another file when ours has lost its name. */
  const follow = async () => {
    const named = await stat(path).catch(() => undefined);
    if (named?.dev === file.device && named.ino === file.inode) return;
    const next = await openAt(path).catch(async (error: unknown) => {
      if ((await file.handle.stat()).nlink === 0) throw error;
      return file; // it was renamed, and no new one can be made: better there than nowhere
    });
    if (next === file) return;
    await file.handle.close().catch(() => {});
    file = next;
    // A line that was cut in two begins again.
    if (batch) batch.at = batch.at === 0 ? 0 : batch.bytes.lastIndexOf(NEWLINE, batch.at - 1) + 1;
  };

  const writeBatch = async () => {
    if (!batch) {
      const bytes = Buffer.from(waiting.join(""));
      waiting = [];
      waitingBytes = 0;
      batch = { bytes, at: 0 };
    }
    await follow();
    while (batch.at < batch.bytes.length) {
      batch.at += await appendSome(file.handle, batch.bytes, batch.at);
    }
    batch = undefined;
  };

  const attempted = () => {
    const told = attempts;
    attempts = [];
    for (const tell of told) tell();
  };

  const run = async () => {
    while (batch || waiting.length > 0) {
      try {
        await writeBatch();
        if (problem !== undefined) {
          problem = undefined;
          changed();
        }
      } catch (error) {
        problem = hasCode(error) ? error.code : String(error);
        changed();
        attempted();
        if (closing) return;
        await new Promise<void>((resolve) => {
          wake = resolve;
          setTimeout(resolve, RETRY_MS).unref();
        });
      }
    }
    attempted();
  };

  const start = () => {
    running ??= run().finally(() => running = undefined);
  };

  return {
    append(line) {
      const bytes = Buffer.byteLength(line);
      if (heldBytes() + bytes > MAX_HELD_BYTES) return false;
      waiting.push(line);
      waitingBytes += bytes;
      start();
      return true;
    },
    get problem() {
      return problem ?? (heldBytes() > HIGH_WATER_BYTES ? "the disk is too slow" : undefined);
    },
    settled: () => running ? new Promise((resolve) => attempts.push(resolve)) : Promise.resolve(),
    async close() {
      closing = true;
      wake?.();
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<void>((resolve) => timer = setTimeout(resolve, CLOSE_LIMIT_MS));
      const written = (async () => {
        await running;
        await file.handle.close();
      })().catch(() => {});
      await Promise.race([written, late]);
      clearTimeout(timer);
    },
  };
}

/**
 * Opens for appending; not through a symbolic link, which somebody else may have put there. A FIFO is not waited for:
 * it is refused with everything else that is no file.
 */
async function openAt(path: string): Promise<Opened> {
  const { O_WRONLY, O_APPEND, O_CREAT, O_NOFOLLOW, O_NONBLOCK } = constants;
  const handle = await open(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK, MODE);
  try {
    const found = await handle.stat();
    if (!found.isFile() && !found.isCharacterDevice()) throw new Error("it is not a regular file");
    if (found.isFile() && found.size > 0 && !await endsWhole(path, found.size)) await handle.write("\n");
    return { handle, device: found.dev, inode: found.ino };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** False when the last line has no end: its server was killed, or the disk was full. */
async function endsWhole(path: string, size: number): Promise<boolean> {
  const handle = await open(path, "r").catch(() => undefined);
  if (!handle) return true; // we may only write to it
  try {
    const last = Buffer.alloc(1);
    await handle.read(last, 0, 1, size - 1);
    return last[0] === NEWLINE;
  } finally {
    await handle.close();
  }
}
