/**
 * Stand-ins for protected names that do not exist. A mount needs something to be mounted on, so an empty folder is
 * made on the host while the sandbox runs. A journal remembers them, so that they go with the last sandbox that uses
 * one, and after a crash with the next start of a server.
 *
 * Only what the journal names is ever removed, and only with rmdir(2): a folder with something in it stays.
 */
import { mkdir, open, readdir, rename, rm, rmdir, stat, writeFile } from "node:fs/promises";
import { constants, lstatSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import * as v from "valibot";
import { hasCode, internalError, messageOf } from "../protocol/error.ts";
import type { Plan } from "./plan.ts";
import { readStat } from "../runtime/proc_stat.ts";
import { makeOwnFolder } from "../runtime/user_folders.ts";
import { isWithin } from "./rules.ts";

/** The stand-ins of one sandbox. */
export interface StubClaim {
  /** The sandbox has ended. May be called twice. */
  release(): Promise<void>;
}

/** All stand-ins of this user on this machine. */
export interface StubJournal {
  /**
   * Makes what a plan needs, just before the start.
   * @returns undefined when the disk has changed since the plan was made: make a new plan
   */
  claim(plan: Plan): Promise<StubClaim | undefined>;
  /** Removes what servers left that are gone. At start-up. */
  sweep(): Promise<void>;
}

const Journal = v.record(v.string(), v.array(v.string()));
type Entries = v.InferOutput<typeof Journal>;

/** A change of the journal takes a millisecond; who holds the lock longer has been killed. */
const STALE_LOCK_MS = 10_000;
const LOCK_RETRY_MS = 5;
/** What a server that was killed was writing. */
const UNFINISHED = /^stubs\..+\.new$/;

/**
 * Opens the journal.
 * @param folder of the server's own, on a disk that survives a restart; made when it is missing
 */
export function openStubJournal(folder: string): StubJournal {
  const file = join(folder, "stubs.json");
  const lock = join(folder, "lock");
  let queue: Promise<unknown> = Promise.resolve();

  const inTurn = <T>(action: () => Promise<T>): Promise<T> => {
    const turn = queue.then(async () => {
      await takeLock(folder, lock);
      return await action().finally(() => rmdir(lock).catch(() => {}));
    });
    queue = turn.catch(() => {});
    return turn;
  };
  const read = async (): Promise<Entries> => {
    try {
      return v.parse(Journal, JSON.parse(await ownText(file)));
    } catch {
      return {}; // none, not ours, or half a file from a full disk: what it named stays where it is
    }
  };
  const write = async (entries: Entries) => {
    // A name that nobody can know before, and nothing that is there already: a link would lead to another file.
    const fresh = join(folder, `stubs.${crypto.randomUUID()}.new`);
    try {
      await writeFile(fresh, JSON.stringify(entries), { mode: 0o600, flag: "wx" });
      await rename(fresh, file);
    } catch (error) {
      await rm(fresh, { force: true });
      throw error;
    }
  };
  /** Forgets owners, and removes what then has none. */
  const forget = async (entries: Entries, isGone: (owner: string) => boolean) => {
    const kept: Entries = {};
    for (const [path, owners] of Object.entries(entries)) {
      const left = owners.filter((owner) => !isGone(owner));
      if (left.length > 0) kept[path] = left;
      else await rmdir(path).catch(() => {}); // not empty, or gone: not ours any more
    }
    await write(kept);
  };
  const drop = (isGone: (owner: string) => boolean) => inTurn(async () => await forget(await read(), isGone));
  const removeUnfinished = () =>
    inTurn(async () => {
      for (const name of (await readdir(folder)).filter((one) => UNFINISHED.test(one))) {
        await rm(join(folder, name)).catch(() => {});
      }
    });

  return {
    async claim(plan) {
      const guarded = plan.rules.filter((rule) => rule.access !== "write");
      const isGone = () => guarded.some((rule) => rule.kind === "directory" && !exists(rule.path));
      if (isGone()) return undefined;
      const isClaimed = guarded.some((rule) => rule.kind === "missing" || isEmptyFolder(rule.path));
      if (!isClaimed) return { release: () => Promise.resolve() };
      const owner = `${process.pid}:${startOf(process.pid)}:${crypto.randomUUID()}`;
      const claimed = await inTurn(async () => {
        const entries = await read();
        const missing = guarded.filter((rule) => rule.kind === "missing");
        const shared = guarded.filter((rule) =>
          rule.kind === "directory" && entries[rule.path] !== undefined
        );
        if (isGone()) return undefined; // another sandbox's stand-in
        const ours = missing.map((rule) => rule.path).filter((path) => entries[path] || !exists(path));
        const added = [...shared.map((rule) => rule.path), ...ours];
        for (const path of added) entries[path] = [...entries[path] ?? [], owner];
        await write(entries); // before the folders: who is killed now leaves nothing that nobody knows
        try {
          for (const path of ours) {
            if (await makeFolder(path) || (entries[path]?.length ?? 0) > 1) continue;
            delete entries[path]; // has just been made by somebody else
            await write(entries);
          }
        } catch (error) {
          await forget(entries, (one) => one === owner);
          throw error;
        }
        return added;
      });
      if (claimed === undefined) return undefined;
      let released = claimed.length === 0;
      return {
        async release() {
          if (released) return;
          released = true;
          await drop((one) => one === owner);
        },
      };
    },
    async sweep() {
      await removeUnfinished();
      await drop((owner) => {
        const [pid = "", started] = owner.split(":");
        return startOf(Number(pid)) !== started;
      });
    },
  };
}

/** Whether a path of the journal is below a folder, for tests and for `doctor`. */
export function stubsBelow(journal: string, folder: string): string[] {
  try {
    const entries = v.parse(Journal, JSON.parse(readFileSync(join(journal, "stubs.json"), "utf8")));
    return Object.keys(entries).filter((path) => isWithin(path, folder));
  } catch {
    return [];
  }
}

/** The text of a file of ours. What is removed is what it names: nobody else may say that. */
async function ownText(path: string): Promise<string> {
  const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const found = await handle.stat();
    if (!found.isFile() || found.uid !== (process.getuid?.() ?? found.uid)) throw new Error("not ours");
    return await handle.readFile("utf8");
  } finally {
    await handle.close();
  }
}

async function takeLock(folder: string, lock: string): Promise<void> {
  try {
    makeOwnFolder(folder);
  } catch (error) {
    throw internalError(`the journal of sandboxes cannot be kept: ${messageOf(error)}`);
  }
  for (;;) {
    try {
      await mkdir(lock);
      return;
    } catch (error) {
      if (!hasCode(error) || error.code !== "EEXIST") throw error;
    }
    const held = await stat(lock).catch(() => undefined);
    if (held && Date.now() - held.mtimeMs > STALE_LOCK_MS) await rmdir(lock).catch(() => {});
    await new Promise((resolve) => setTimeout(resolve, LOCK_RETRY_MS));
  }
}

async function makeFolder(path: string): Promise<boolean> {
  try {
    await mkdir(path);
    return true;
  } catch (error) {
    if (hasCode(error) && error.code === "EEXIST") return false;
    throw error;
  }
}

function exists(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

function isEmptyFolder(path: string): boolean {
  const found = lstatSync(path, { throwIfNoEntry: false });
  // An empty folder has two links, or one where the file system does not count: only a hint to look closer.
  return found?.isDirectory() === true && found.nlink <= 2;
}

/** When a process started, in the kernel's ticks; undefined when it is gone. Tells it from a later one. */
function startOf(pid: number): string | undefined {
  return readStat(pid)?.startTime.toString();
}
