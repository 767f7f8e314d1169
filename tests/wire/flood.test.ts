// Peers and processes that give more than anyone takes: the server's memory stays bounded, nothing is lost, others are
// served. Each test has a server of its own, whose peak memory is then the test's.
import { Buffer } from "node:buffer";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { Environment } from "../../src/environment.ts";
import { bytesWritten, isRunning, memoryOf, until, untilStill } from "../harness/proc.ts";
import { startServer, type TestServer } from "../harness/server.ts";
import { tempDir } from "../harness/temp.ts";
import { isObject, type WireClient } from "../harness/wire_client.ts";

const isCompiled = (process.env["EXEC_SERVER_FORM"] ?? "compiled") === "compiled";
/** The source run by Node or Deno begins with the compiler in memory. */
const MAX_MIB = isCompiled ? 150 : 300;
const LIMIT = { timeoutMs: 60_000 };

let server: TestServer;

test.before.each(async () => {
  server = await startServer();
});
test.after.each(async () => {
  await server.stop();
});

/** Another connection is answered, and the server has never used too much. */
async function isWell(): Promise<void> {
  const other = await server.connect();
  assert.equal(await other.call("environment/status"), { status: "ready" });
  await other.terminate();
  const peak = memoryOf(server.pid, "VmHWM");
  assert.ok(peak < MAX_MIB, `${Math.round(peak)} MiB`);
}

/** Starts a process that prints its pid and floods, and stops reading once the pid is there. */
async function pausedFlood(client: WireClient, command: string): Promise<number> {
  await client.startProcess("p", ["/bin/sh", "-c", `echo $$; exec ${command}`]);
  const { params } = await client.waitFor(({ method }) => method === "process/output");
  client.pause();
  return isObject(params) ? parseInt(Buffer.from(String(params["chunk"]), "base64").toString()) : 0;
}

test("10,000 requests whose answers are not read", async () => {
  const count = 10_000;
  const path = join(tempDir(), "file");
  writeFileSync(path, "x".repeat(9_000));
  const client = await server.connect();
  client.pause();
  const params = { path: pathToFileURL(path).href };
  for (let i = 0; i < count; i++) client.send({ id: `r${i}`, method: "fs/readFile", params });
  await untilStill(() => Math.round(memoryOf(server.pid) / 4));
  for (let i = 0; i < 20; i++) await isWell();
  client.resume();
  const answered = new Set<string>();
  await client.waitFor(({ id, result }) => {
    if (!isObject(result) || String(result["dataBase64"]).length !== 12_000) return false;
    return answered.add(String(id)).size === count;
  }, LIMIT);
  assert.is(client.messages.length, count + 1);
  await isWell();
  await client.terminate();
});

test("a process that floods a client that does not read", async () => {
  const size = 100_000_000;
  const client = await server.connect();
  const pid = await pausedFlood(client, `head -c ${size} /dev/zero`);
  await untilStill(() => bytesWritten(pid));
  await isWell();
  client.resume();
  const { bytes, exitCode } = await client.collect("p", LIMIT);
  assert.equal([bytes.stdout.length, exitCode], [size + `${pid}\n`.length, 0]);
  await isWell();
  await client.terminate();
});

test("a flood can be terminated by the client that does not read it", async () => {
  const client = await server.connect();
  const pid = await pausedFlood(client, "cat /dev/zero");
  await untilStill(() => bytesWritten(pid));
  client.send({ id: "end", method: "process/terminate", params: { processId: "p" } });
  await until("it has ended", () => !isRunning(pid));
  await isWell();
  client.resume();
  assert.equal((await client.waitFor(({ id }) => id === "end", LIMIT))["result"], { running: true });
  assert.is((await client.collect("p", LIMIT)).exitCode, 137);
  await client.terminate();
});

test("a flood does not starve another process of the same connection", async () => {
  const environment = await Environment.connect(server.url);
  const flood = await environment.processes.start({ argv: ["cat", "/dev/zero"] });
  let flooded = 0;
  const reading = (async () => {
    for await (const bytes of flood.stdout) flooded += bytes.length;
  })();
  for (let i = 0; i < 20; i++) {
    const started = await environment.processes.start({ argv: ["echo", String(i)] });
    assert.is(await new Response(started.stdout).text(), `${i}\n`);
  }
  assert.is((await flood.terminate()).wasRunning, true);
  await reading;
  assert.ok(flooded > 0);
  await environment.close();
  await isWell();
});

/** Sends a process that reads nothing more than it takes, ends it, and waits until every write was answered. */
async function floodInput(writes: number, bytesEach: number): Promise<void> {
  const client = await server.connect();
  await client.startProcess("p", ["sleep", "1000"], { pipeStdin: true });
  const chunk = Buffer.alloc(bytesEach).toString("base64");
  for (let i = 0; i < writes; i++) {
    client.send({ id: `w${i}`, method: "process/write", params: { processId: "p", writeId: `${i}`, chunk } });
  }
  await client.waitFor(({ id }) => id === "w0", LIMIT);
  await client.call("process/terminate", { processId: "p" }, LIMIT);
  const answers = new Set<unknown>();
  await client.waitFor(({ id }) => String(id).startsWith("w") && answers.add(id).size === writes, LIMIT);
  assert.is((await client.collect("p", LIMIT)).exitCode, 137);
  await isWell();
  await client.terminate();
}

test("input that is not read holds back nothing but its own answers", () => floodInput(900, 10_000));

test("input that is not read does not fill the memory", () => floodInput(300, 500_000));

test.run();
