// A small storm: what scripts/storm.ts measures, as far as it can be said without looking at the clock.
import { Buffer } from "node:buffer";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { memoryOf, openFiles, until } from "../harness/proc.ts";
import { startServer, type TestServer } from "../harness/server.ts";
import {
  endlessMessage,
  frame,
  idleConnections,
  openUpgraded,
  sendRepeated,
  silentConnections,
  unfinishedRequests,
  unreadRequests,
} from "./attacks.ts";
import { Opcode } from "../harness/raw_socket.ts";

/** What clients may make of a server's memory. */
const MAX_MIB = 300;
const MIB = 1024 * 1024;
/** Attackers that send as much as a message may have, less one MiB. */
const LARGE_SENDERS = 12;
/** Descriptors that the runtime opens for itself when it first needs them. */
const OWN_FILES = 2;
const LOUD = 60;
const LOUD_BYTES = 4_000_000;

let server: TestServer;

test.before.each(async () => {
  server = await startServer({ args: ["--handshake-timeout", "2"] });
});
test.after.each(async () => {
  await server.stop();
});

function isSmall(): void {
  const peak = memoryOf(server.pid, "VmHWM");
  assert.ok(peak < MAX_MIB, `${Math.round(peak)} MiB`);
}

test("everything at once: a client that behaves is served, and nothing is left", async () => {
  const client = await server.connect();
  const files = openFiles(server.pid);
  const attacks = await Promise.all([
    idleConnections(server.url, 200),
    unfinishedRequests(server.url, 50),
    silentConnections(server.url, 50),
    endlessMessage(server.url, 200 * MIB),
    endlessMessage(server.url, 100_000, 0),
    unreadRequests(server.url, 10_000, { method: "fs/readFile", params: { path: "file:///etc/services" } }),
  ]);
  const [idle, unfinished, silent, endless] = attacks;
  const isOver = () => unfinished?.ended() === 50 && silent?.ended() === 50 && endless?.ended() === 1;
  for (let round = 0; round < 100 || !isOver(); round++) {
    assert.equal(await client.call("environment/status"), { status: "ready" });
  }
  const other = await server.connect();
  await other.terminate();
  assert.is(idle?.ended(), 0);
  for (const attack of attacks) attack.stop();
  await until("descriptors are back", () => openFiles(server.pid) <= files + OWN_FILES);
  await client.terminate();
  isSmall();
});

test("--bound-incoming: large messages that are never complete take turns", async () => {
  await server.stop();
  server = await startServer({ args: ["--handshake-timeout", "2", "--bound-incoming"] });
  const sockets = await Promise.all(
    Array.from({ length: LARGE_SENDERS }, () => openUpgraded(server.url, { initialize: true })),
  );
  const piece = frame(Opcode.continuation, new Uint8Array(MIB), false);
  for (const socket of sockets) {
    socket.write(frame(Opcode.text, new Uint8Array(1), false));
    void sendRepeated(socket, piece, 62);
  }
  // Each gets its turn, and is ended when it does not complete its message while the others wait.
  await until("the first has had it", () => sockets.some(({ destroyed }) => destroyed));
  const client = await server.connect();
  assert.equal(await client.call("environment/status"), { status: "ready" });
  for (const socket of sockets) socket.destroy();
  await client.terminate();
  isSmall();
});

test("the output of many sessions without a connection is not all in memory, and nothing is lost", async () => {
  const ids: string[] = [];
  for (let count = 0; count < LOUD; count++) {
    const client = await server.connect();
    await client.startProcess("p", ["head", "-c", String(LOUD_BYTES), "/dev/zero"]);
    ids.push(client.sessionId);
    await client.terminate();
  }
  for (const resumeSessionId of ids) {
    const client = await server.connect({ resumeSessionId });
    let afterSeq = 0;
    let bytes = 0;
    for (let closed = false; !closed;) {
      const read = await client.call("process/read", { processId: "p", afterSeq, waitMs: 1000 });
      const chunks: unknown = read["chunks"];
      for (const chunk of Array.isArray(chunks) ? chunks : []) {
        bytes += Buffer.from(String(chunk.chunk), "base64").length;
      }
      afterSeq = Number(read["nextSeq"]) - 1;
      closed = read["closed"] === true;
    }
    assert.is(bytes, LOUD_BYTES);
    await client.terminate();
  }
  isSmall();
});

test.run();
