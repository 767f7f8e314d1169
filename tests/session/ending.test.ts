// Every end of a process comes to its end, whatever is still in its pipes and whoever still holds them.
import { execFileSync } from "node:child_process";
import { chmodSync, copyFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { bytesWritten, isRunning, untilStill } from "../harness/proc.ts";
import { send } from "../harness/program.ts";
import { startServer, type TestServer } from "../harness/server.ts";
import { tempDirIn } from "../harness/temp.ts";
import type { JsonObject } from "../harness/wire_client.ts";
import { openRawClient, pidOf, type RawClient, type ReadAnswer, readOnce } from "./raw_client.ts";

/** What one process may leave while nobody is attached. */
const RETAINED_BYTES = 1024 * 1024;
const RETAINED = ["--retained-output", String(RETAINED_BYTES)];
const GRACE_MS = 500;
/** More than every grace and every limit of the server together. */
const LIMIT_MS = 12_000;
/** More than is kept while somebody is attached, and what a pipe holds. */
const MOST_BYTES = 8 * RETAINED_BYTES;

/** Its leader exits; what stays holds its pipes and has no trace of where it came from. */
const ESCAPES = "(setsid env -i sh -c 'echo $$; exec sleep 999' &); exit 3";

async function soon<T>(what: string, wanted: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`after ${LIMIT_MS} ms not yet: ${what}`)), LIMIT_MS);
  });
  return await Promise.race([wanted, late]).finally(() => clearTimeout(timer));
}

async function withServer(
  check: (server: TestServer) => Promise<void>,
  args: readonly string[] = [],
): Promise<void> {
  const server = await startServer({ args: [...RETAINED, ...args] });
  try {
    await check(server);
  } finally {
    await server.stop();
  }
}

/** A process that has filled its budget, and whose client is gone. */
async function full(
  server: TestServer,
  argv: string[] = ["yes"],
  more: JsonObject = {},
): Promise<{ readonly sessionId: string; readonly pid: number }> {
  // It acknowledges nothing: of what a plain client has received the oldest may be dropped.
  const client = await openRawClient(server.url, { initialize: { acknowledgesOutput: true } });
  await client.start("p", argv, more);
  const pid = await pidOf(client, "p");
  await client.terminate();
  await untilStill(() => bytesWritten(pid));
  return { sessionId: client.sessionId, pid };
}

/** Resumes a session, and reads nothing. */
function resume(server: TestServer, resumeSessionId: string): Promise<RawClient> {
  return openRawClient(server.url, { initialize: { resumeSessionId, acknowledgesOutput: true } });
}

/** A process that has exited, while a stray holds its pipes. @returns the stray */
async function escaped(client: RawClient, more: JsonObject = {}): Promise<number> {
  await client.start("another that may have left it", ["sleep", "999"]);
  await client.start("p", ["/bin/sh", "-c", ESCAPES], more);
  let text = "";
  for (let seq = 0; !text.includes("\n");) {
    const { chunks, nextSeq } = await readOnce(client, { processId: "p", afterSeq: seq, waitMs: 1_000 });
    text += chunks.map(({ bytes }) => bytes.toString()).join("");
    seq = nextSeq - 1;
  }
  return Number(text);
}

/** Waits for the end without reading anything, which would make room; then reads all. */
async function end(client: RawClient): Promise<{ readonly bytes: number; readonly exitCode: unknown }> {
  const closed = async () => {
    for (;;) {
      const { processes } = await client.call("process/list", null);
      const one = Array.isArray(processes) ? processes.find(({ processId }) => processId === "p") : undefined;
      if (one?.state === "closed") return;
      await new Promise((wake) => setTimeout(wake, 20));
    }
  };
  await soon("the end of the process", closed());
  let bytes = 0;
  for (let seq = 0;;) {
    const answer: ReadAnswer = await readOnce(client, { processId: "p", afterSeq: seq });
    assert.is(answer.lost, undefined);
    for (const chunk of answer.chunks) bytes += chunk.bytes.length;
    seq = answer.nextSeq - 1;
    if (answer.closed) return { bytes, exitCode: answer.exitCode };
  }
}

test("SIGTERM ends a server one of whose processes has filled its budget", () =>
  withServer(async (server) => {
    await full(server);
    process.kill(server.pid, "SIGTERM");
    assert.equal(await soon("the end of the server", server.exited), { code: 0, signal: null });
  }));

test("SIGTERM ends a server while a stray holds the pipes of a process that has exited", () =>
  withServer(async (server) => {
    const stray = await escaped(await openRawClient(server.url));
    process.kill(server.pid, "SIGTERM");
    assert.equal(await soon("the end of the server", server.exited), { code: 0, signal: null });
    assert.not(isRunning(stray));
  }));

test("a process that ends within its grace is closed, and all that it left can be read", () =>
  withServer(async (server) => {
    const { sessionId } = await full(server);
    const client = await resume(server, sessionId);
    const ended = await client.call("process/terminate", { processId: "p", graceMs: GRACE_MS });
    assert.equal(ended, { running: true, survivors: [] });
    const { exitCode, bytes } = await end(client);
    assert.is(exitCode, 143);
    assert.ok(bytes > RETAINED_BYTES && bytes < MOST_BYTES, `${bytes} bytes`);
  }));

test("a grace ends with the end of the process, also when a stray holds its pipes", () =>
  withServer(async (server) => {
    const client = await openRawClient(server.url);
    const stray = await escaped(client);
    const ended = await client.call("process/terminate", { processId: "p", graceMs: GRACE_MS });
    assert.equal(ended, { running: false, survivors: [] });
    assert.is((await end(client)).exitCode, 3);
    assert.ok(isRunning(stray), "it is nobody's, so the test shows nothing otherwise");
  }));

test("so does a time limit with a grace", () =>
  withServer(async (server) => {
    const client = await openRawClient(server.url);
    await escaped(client, { timeoutMs: 1_000, timeoutGraceMs: GRACE_MS });
    assert.is((await end(client)).exitCode, 3);
    const { sessionId } = await full(server, ["yes"], { timeoutMs: 2_000, timeoutGraceMs: GRACE_MS });
    assert.is((await end(await resume(server, sessionId))).exitCode, 143);
  }));

test("a leader that cannot be killed is held to its budget, and does not hold up the end of the server", async () => {
  if (process.getuid?.() !== 0) return; // it takes a program that becomes root
  const folder = tempDirIn("/var/tmp"); // where others may go
  chmodSync(folder, 0o755);
  const program = join(folder, "becomes-root");
  copyFileSync(execFileSync("which", ["setpriv"], { encoding: "utf8" }).trim(), program);
  chmodSync(program, 0o4755);
  await withServer(async (server) => {
    const { sessionId, pid } = await full(server, [program, "--reuid", "0", "--clear-groups", "yes"]);
    try {
      const client = await resume(server, sessionId);
      const before = bytesWritten(pid);
      const ended = await client.call("process/terminate", { processId: "p", graceMs: 0 });
      assert.equal(ended, { running: true, survivors: [pid] });
      await new Promise((wake) => setTimeout(wake, GRACE_MS));
      assert.ok(bytesWritten(pid) - before < MOST_BYTES, "nothing more is taken from it");
      process.kill(server.pid, "SIGTERM");
      assert.equal(await soon("the end of the server", server.exited), { code: 0, signal: null });
    } finally {
      send(pid, "SIGKILL"); // the end of its pipe has ended it, if all went well
    }
  }, ["--user", "nobody"]);
});

test.run();
