/** The server that is fuzzed, where it may write, and what must be so after each case. */
import { lstatSync, readdirSync } from "node:fs";
import process from "node:process";
import { childrenOf, memoryOf, openFiles, until } from "../harness/proc.ts";
import { startServer, type TestServer } from "../harness/server.ts";
import { isObject } from "../harness/wire_client.ts";
import { isClosing, openPeer, type Peer, soon } from "./peer.ts";
import { logProblem } from "./message_rules.ts";
import { makePlaces, type Places } from "./places.ts";

/** Accounts that nobody has: no entry, no files, no processes. Runs at the same time have different ones. */
const FIRST_UID = 64_200;
const UIDS = 1_000;
/** Helpers of sandboxed file requests end 30 s after their last request; a busy machine takes longer. */
const SETTLE_LIMIT_MS = 90_000;
/** How long the end of a server may be on its way, in ms. */
const END_MS = 1_000;
const SHARED_FOLDERS = ["/tmp", "/var/tmp", "/dev/shm", "/dev/mqueue", "/run/lock"];

/** What a server holds when nothing is asked of it. */
export interface Footprint {
  /** Open descriptors. */
  readonly files: number;
  /** Resident memory, in MiB. */
  readonly memory: number;
}

/** A server and its surroundings. */
export interface World {
  readonly places: Places;
  readonly url: string;
  /** A connection that is closed after the case; with a session unless `bare`. */
  open(options?: { bare?: boolean; initialize?: Record<string, unknown> }): Promise<Peer>;
  /** Puts the real paths into a case: `{W}` stands for the folder of the files. */
  place(one: unknown): unknown;
  /** After a case: closes its connections. @throws Error with everything that the server did wrong */
  verify(): Promise<void>;
  /** Waits until nothing of the cases is left. */
  settled(): Promise<Footprint>;
  /** Stops the server. @throws Error when it leaves anything behind */
  close(): Promise<void>;
}

/** A connection that stays: without a handshake it would be ended after a while. */
async function openControl(url: string): Promise<Peer> {
  const peer = await openPeer(url);
  await peer.request("initialize", { clientName: "fuzz-control" });
  peer.send('{"method":"initialized"}');
  return peer;
}

/** Starts a server with a folder of its own, as an account of its own when the test is root. */
export async function createWorld(): Promise<World> {
  const uid = process.getuid?.() === 0 ? FIRST_UID + process.pid % UIDS : undefined;
  const places = makePlaces(uid);
  const before = foreignFiles(uid);
  const start = () =>
    startServer({
      // Short lives: what a case leaves is gone soon.
      args: [
        "--session-ttl",
        "1",
        "--max-session-ttl",
        "2",
        "--spill-dir",
        places.spill,
        "--log-format",
        "json",
      ],
      cwd: places.home,
      env: {
        HOME: places.home,
        TMPDIR: places.temp,
        XDG_STATE_HOME: places.state,
        XDG_RUNTIME_DIR: places.state,
        USER: undefined,
      },
      uid,
      program: places.program,
    });
  let server: TestServer = await start();
  let control = await openControl(server.url);
  let peers: Peer[] = [];
  let readLog = 0;

  const logProblems = (): string[] => {
    const text = server.stderr();
    const end = text.lastIndexOf("\n") + 1;
    const lines = text.slice(readLog, end).split("\n").filter((line) => line !== "");
    readLog = end;
    return lines.flatMap((line) => logProblem(line) ?? []);
  };
  /** A dead server must not fail every case after this one. */
  const restart = async () => {
    await server.stop("SIGKILL");
    server = await start();
    control = await openControl(server.url);
    readLog = 0;
  };

  return {
    places,
    get url() {
      return server.url;
    },
    async open({ bare = false, initialize = {} } = {}) {
      const peer = await openPeer(server.url);
      peers.push(peer);
      if (bare) return peer;
      const params = { clientName: "fuzz", ...initialize };
      const answer = await soon("the answer to initialize", peer.request("initialize", params));
      if (isClosing(answer) || !isObject(answer["result"])) {
        throw new Error(`no session: ${JSON.stringify(answer)}`);
      }
      peer.send('{"method":"initialized"}');
      return peer;
    },
    place: (one) => places.put(one),
    async verify() {
      const problems = peers.flatMap((peer) => peer.problems);
      for (const peer of peers) if (!peer.closing) peer.end("drop");
      peers = [];
      try {
        const alive = await control.probe();
        if (isClosing(alive)) throw new Error(`the connection of the probes ended: ${alive.code}`);
        const fresh = await openPeer(server.url);
        await fresh.probe();
        fresh.end("drop");
      } catch (error) {
        // Either it is just ending, or it is alive and does not answer.
        const late = new Promise<undefined>((resolve) => setTimeout(() => resolve(undefined), END_MS));
        const exit = await Promise.race([server.exited, late]);
        const printed = server.stderr().slice(-4_000);
        await restart();
        if (exit) throw new Error(`the server has ended (${exit.code ?? exit.signal}): ${printed}`);
        throw error;
      }
      problems.push(...logProblems());
      if (places.isInjected()) problems.push("a text of the client was run as a command");
      if (problems.length > 0) throw new Error(problems.join("\n"));
    },
    async settled() {
      const { pid } = server;
      let files = openFiles(pid);
      await until("what was started has ended", () => childrenOf(pid).length === 0, SETTLE_LIMIT_MS);
      let same = 0;
      await until("its descriptors stay the same", () => {
        const now = openFiles(pid);
        same = now === files ? same + 1 : 0;
        files = now;
        return same > 50;
      });
      return { files, memory: memoryOf(pid) };
    },
    async close() {
      control.end("drop");
      const exit = await server.stop();
      const problems = logProblems();
      if (exit.code !== 0) problems.push(`the server ended with ${exit.code ?? exit.signal}`);
      problems.push(...places.damage());
      for (const file of foreignFiles(uid)) if (!before.has(file)) problems.push(`it has made ${file}`);
      for (const left of processesOf(uid)) problems.push(`it has left the process ${left}`);
      places.remove();
      if (problems.length > 0) throw new Error(problems.join("\n"));
    },
  };
}

/** What the account has in the folders that everybody may write to. Without an account of its own nobody can tell. */
function foreignFiles(uid: number | undefined): Set<string> {
  const found = new Set<string>();
  if (uid === undefined) return found;
  for (const folder of SHARED_FOLDERS) {
    for (const name of namesIn(folder)) {
      const path = `${folder}/${name}`;
      if (lstatSync(path, { throwIfNoEntry: false })?.uid === uid) found.add(path);
    }
  }
  return found;
}

/** What runs as the account. */
function processesOf(uid: number | undefined): string[] {
  if (uid === undefined) return [];
  return namesIn("/proc").filter((name) => /^\d+$/.test(name)).filter((pid) =>
    lstatSync(`/proc/${pid}`, { throwIfNoEntry: false })?.uid === uid
  );
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return []; // no such folder here
  }
}
