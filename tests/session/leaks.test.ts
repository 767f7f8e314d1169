// Sessions that are opened, cut and expired leave nothing behind.
import { readdirSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { isFull } from "../faults/random.ts";
import { childrenOf, memoryOf, openFiles, until, untilStill } from "../harness/proc.ts";
import { startServer, type TestServer } from "../harness/server.ts";
import { tempDir } from "../harness/temp.ts";
import { openRawClient } from "./raw_client.ts";

const SESSIONS = isFull ? 1_000 : 200;
/** So many live at the same time; memory is compared after each round. */
const ROUND = 25;
const AT_ONCE = 10;
/** More than a process may have in memory, so that each session has a spill file. */
const OUTPUT_BYTES = 3_000_000;
/** What the server may keep of a run that is over: memory of the runtime that is used again. */
const MAX_GROWTH_MB = 40;

interface Footprint {
  readonly files: number;
  readonly children: number;
  readonly spillFiles: number;
}

function footprint(server: TestServer): Footprint {
  const folder = `/proc/${server.pid}/fd`;
  const names = readdirSync(folder).map((fd) => {
    try {
      return readlinkSync(join(folder, fd));
    } catch {
      return ""; // closed meanwhile
    }
  });
  return {
    files: openFiles(server.pid),
    children: childrenOf(server.pid).length,
    spillFiles: names.filter((name) => name.includes("exec-server-spill-")).length,
  };
}

/** Opens sessions whose clients leave while a process prints and another sleeps. */
async function openAndCut(server: TestServer, count: number): Promise<void> {
  for (let done = 0; done < count; done += AT_ONCE) {
    await Promise.all(Array.from({ length: Math.min(AT_ONCE, count - done) }, async () => {
      const client = await openRawClient(server.url);
      await client.start("quiet", ["sleep", "600"]);
      await client.start("loud", ["/bin/sh", "-c", `head -c ${OUTPUT_BYTES} /dev/zero; exec sleep 600`]);
      await client.terminate();
    }));
  }
}

/** Sessions from the first to the last moment. Returns the server's memory after it, in MB. */
async function round(server: TestServer): Promise<number> {
  await openAndCut(server, ROUND);
  const isOver = ({ children, spillFiles }: Footprint) => children === 0 && spillFiles === 0;
  await until("all sessions are over", () => isOver(footprint(server)), 60_000);
  return memoryOf(server.pid);
}

/** Waits until nothing is left that was not there before. */
async function untilLike(server: TestServer, before: Footprint): Promise<void> {
  const same = () => JSON.stringify(footprint(server)) === JSON.stringify(before);
  await until("nothing is left", same, 5_000).catch(() => assert.equal(footprint(server), before));
}

test(`${SESSIONS} sessions opened, cut and expired leave nothing`, async () => {
  const spillDir = tempDir();
  const server = await startServer({ args: ["--session-ttl", "1", "--spill-dir", spillDir] });
  try {
    await round(server);
    const before = footprint(server);
    const memory: number[] = [];
    let spillFiles = 0;
    const looking = setInterval(() => {
      spillFiles = Math.max(spillFiles, footprint(server).spillFiles);
    }, 50);
    try {
      for (let done = 0; done < SESSIONS; done += ROUND) memory.push(await round(server));
    } finally {
      clearInterval(looking);
    }
    assert.ok(spillFiles > 0, "the sessions had spill files");
    await untilLike(server, before);
    assert.equal(readdirSync(spillDir), []);
    // The runtime gives memory back when it likes, so the smallest of several looks counts.
    const half = Math.ceil(memory.length / 2);
    const growth = Math.min(...memory.slice(half)) - Math.min(...memory.slice(0, half));
    console.log(
      `${SESSIONS} sessions: ${
        JSON.stringify(footprint(server))
      }, up to ${spillFiles} spill files at once, ` +
        `memory after each ${ROUND}: ${memory.map((mb) => mb.toFixed(0)).join(" ")} MB`,
    );
    assert.ok(growth < MAX_GROWTH_MB, `memory grew by ${growth} MB`);
  } finally {
    await server.stop();
  }
});

test("many cuts of one session leave nothing", async () => {
  const server = await startServer();
  try {
    const first = await openRawClient(server.url);
    await first.start("quiet", ["sleep", "600"]);
    const { sessionId } = first;
    await first.terminate();
    const resume = async () => {
      const client = await openRawClient(server.url, { initialize: { resumeSessionId: sessionId } });
      await client.terminate();
    };
    for (let count = 0; count < 5; count++) await resume();
    let before = footprint(server);
    await untilStill(() => JSON.stringify(before = footprint(server))); // the last socket is being closed
    for (let count = 0; count < SESSIONS; count++) await resume();
    await untilLike(server, before);
  } finally {
    await server.stop();
  }
});

test.run();
