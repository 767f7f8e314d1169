// What a server gives all clients together: at each limit, one beyond it, and everybody else goes on.
import { once } from "node:events";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { frame, openTcp, openUpgraded, pingFlood, unfinishedRequests } from "../faults/attacks.ts";
import { Opcode } from "../harness/raw_socket.ts";
import { memoryOf, until } from "../harness/proc.ts";
import { runServer, type TestServer, withServer } from "../harness/server.ts";
import { type JsonObject, RefusedError, type WireClient, WireError } from "../harness/wire_client.ts";

const LIMIT_REACHED = -32012;
const MIB = 1024 * 1024;
const LIMIT_MS = 10_000;
/** Connections that send most of a large frame, and no initialize. */
const EARLY_SENDERS = 7;
/** What they may make of the server's memory together: each is read for a moment before it is looked at. */
const EARLY_GROWTH_MIB = 150;

/** What comes, or a failure. */
async function soon<T>(coming: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, fail) => {
    timer = setTimeout(() => fail(new Error(`nothing after ${LIMIT_MS} ms`)), LIMIT_MS);
  });
  return await Promise.race([coming, late]).finally(() => clearTimeout(timer));
}

async function isAnswered(client: WireClient): Promise<void> {
  assert.equal(await client.call("environment/status"), { status: "ready" });
}

async function failureOf(attempt: Promise<unknown>): Promise<unknown> {
  return await attempt.then(() => undefined, (error: unknown) => error);
}

async function isRefused(attempt: Promise<unknown>, option: string): Promise<void> {
  const error = await failureOf(attempt);
  if (!(error instanceof WireError)) throw new Error(`no refusal: ${String(error)}`);
  assert.is(error.code, LIMIT_REACHED);
  assert.ok(error.message.includes(option), error.message);
}

/** Connects as soon as the server has seen the end of another connection or session. */
async function connectLater(server: TestServer): Promise<WireClient> {
  const deadline = Date.now() + LIMIT_MS;
  for (;;) {
    try {
      return await server.connect();
    } catch (error) {
      if (!(error instanceof RefusedError) && !(error instanceof WireError)) throw error;
      if (Date.now() > deadline) throw error;
    }
  }
}

test("connections: one more is answered 503, which names the option", () =>
  withServer(["--max-connections", "2"], async (server) => {
    const clients = [await server.connect(), await server.connect()];
    const error = await failureOf(server.connect());
    if (!(error instanceof RefusedError)) throw new Error(`no refusal: ${String(error)}`);
    assert.is(error.status, 503);
    assert.match(error.body, "this server has 2 connections already");
    assert.match(error.body, "--max-connections");
    for (const client of clients) await isAnswered(client);
    await clients[0]?.terminate();
    const next = await connectLater(server);
    await isAnswered(next);
    await next.terminate();
    await clients[1]?.terminate();
  }));

test("requests that do not come are not waited for, and are in nobody's way", () =>
  withServer(["--max-connections", "4", "--handshake-timeout", "0.5"], async (server) => {
    const client = await server.connect();
    const attack = await unfinishedRequests(server.url, 300);
    const other = await server.connect();
    await isAnswered(other);
    await until("all are given up", () => attack.ended() === 300);
    attack.stop();
    await isAnswered(client);
    await Promise.all([client.terminate(), other.terminate()]);
  }));

test("a connection without initialize is ended, one with it stays", () =>
  withServer(["--handshake-timeout", "0.5"], async (server) => {
    const client = await server.connect();
    const silent = await server.connect({ handshake: false });
    assert.equal(await soon(silent.closed), {
      code: 1008,
      reason: "no initialize within 0.5 s (--handshake-timeout)",
    });
    await isAnswered(client);
    await client.terminate();
  }));

test("a socket that sends nothing after the limit of connections is not kept", () =>
  withServer(["--max-connections", "1", "--handshake-timeout", "0.5"], async (server) => {
    const client = await server.connect();
    const socket = await openTcp(server.url);
    await soon(once(socket.resume(), "close"));
    await isAnswered(client);
    await client.terminate();
  }));

/** A request of so many bytes. */
function messageOf(size: number, id = "big"): string {
  const head = `{"id":"${id}","method":"environment/status","params":{"x":"`;
  return `${head}${"x".repeat(size - head.length - 3)}"}}`;
}

test("messages: one of just the size is read, a larger one ends the connection", () =>
  withServer(["--max-message", "1M"], async (server) => {
    const [client, other] = [await server.connect(), await server.connect()];
    client.sendText(messageOf(MIB));
    await client.waitFor(({ id }) => id === "big");
    client.sendFragments(messageOf(MIB + 1), 1000);
    assert.is((await soon(client.closed)).code, 1009);
    await isAnswered(other);
    await other.terminate();
  }));

test("messages before initialize are small: one of just the size is read, a larger one ends the connection", () =>
  withServer([], async (server) => {
    const early = () => server.connect({ handshake: false });
    const [client, other, initialized] = [await early(), await early(), await server.connect()];
    client.sendText(messageOf(MIB));
    await client.waitFor(({ id }) => id === "big");
    await client.call("initialize", { clientName: "test" });
    client.send({ method: "initialized", params: {} });
    client.sendText(messageOf(3 * MIB, "bigger"));
    await client.waitFor(({ id }) => id === "bigger");
    other.sendText(messageOf(MIB + 1));
    assert.equal(await soon(other.closed), {
      code: 1009,
      reason: "a message before initialize has 1048576 bytes at most",
    });
    await isAnswered(initialized);
    await Promise.all([client.terminate(), initialized.terminate()]);
  }));

test("messages before initialize that are not complete are cut off, too", () =>
  withServer(["--bound-incoming"], async (server) => {
    const client = await server.connect();
    const before = memoryOf(server.pid, "VmHWM");
    const sockets = await Promise.all(
      Array.from({ length: EARLY_SENDERS }, () => openUpgraded(server.url, { initialize: false })),
    );
    for (const socket of sockets) {
      socket.write(frame(Opcode.text, new Uint8Array(60 * MIB)).subarray(0, 50 * MIB));
    }
    await until("they are cut", () => sockets.every(({ destroyed }) => destroyed));
    await isAnswered(client);
    const growth = memoryOf(server.pid, "VmHWM") - before;
    assert.ok(growth < EARLY_GROWTH_MIB, `${Math.round(growth)} MiB more`);
    await client.terminate();
  }));

test("sessions: the oldest that is idle and alone makes room, one with a process never", () =>
  withServer(["--max-sessions", "2"], async (server) => {
    const busy = await server.connect();
    await busy.startProcess("p", ["sleep", "600"]);
    const idle = await server.connect();
    await isRefused(server.connect(), "--max-sessions");
    await isAnswered(idle);
    await busy.terminate();
    await isRefused(server.connect(), "--max-sessions");
    await idle.terminate();
    const next = await connectLater(server);
    await isRefused(server.connect({ resumeSessionId: idle.sessionId }).catch(asLimit), "unknown session id");
    const again = await server.connect({ resumeSessionId: busy.sessionId });
    assert.is((await processesOf(again)).length, 1);
    await again.call("process/terminate", { processId: "p" });
    await Promise.all([again.terminate(), next.terminate()]);
  }));

/** What the check of refusals takes, for a refusal of another kind. */
function asLimit(error: unknown): never {
  if (!(error instanceof WireError)) throw error;
  throw new WireError(LIMIT_REACHED, error.message);
}

async function processesOf(client: WireClient): Promise<unknown[]> {
  const { processes } = await client.call("process/list");
  return Array.isArray(processes) ? processes : [];
}

test("processes: of a session and of the server, and an ended one makes room", () =>
  withServer(["--max-processes", "3", "--max-session-processes", "2"], async (server) => {
    const [one, other] = [await server.connect(), await server.connect()];
    const start = (client: WireClient, id: string): Promise<JsonObject> =>
      client.startProcess(id, ["sleep", "600"]);
    await start(one, "a");
    await start(one, "b");
    await isRefused(start(one, "c"), "--max-session-processes");
    await start(other, "a");
    await isRefused(start(other, "b"), "--max-processes");
    await one.call("process/terminate", { processId: "a" });
    await one.waitFor(({ method }) => method === "process/closed");
    await start(other, "b");
    await isRefused(start(one, "c"), "--max-processes");
    const failed = await failureOf(other.startProcess("c", ["/no/such/program"]));
    assert.ok(
      failed instanceof WireError && failed.code === LIMIT_REACHED,
      "it is full, whatever the program",
    );
    for (const [client, id] of [[one, "b"], [other, "a"], [other, "b"]] as const) {
      await client.call("process/terminate", { processId: id });
    }
    await until("all have ended", () => [one, other].every((client) => closedOf(client) === 2));
    const missing = await failureOf(one.startProcess("d", ["/no/such/program"]));
    assert.ok(missing instanceof WireError && missing.code !== LIMIT_REACHED, String(missing));
    for (const id of ["e", "f"]) await start(one, id); // the one that failed has given its place back
    for (const id of ["e", "f"]) await one.call("process/terminate", { processId: id });
    await until("these, too", () => closedOf(one) === 4);
    await Promise.all([one.terminate(), other.terminate()]);
  }));

test("open files of a connection and observations of a session", () =>
  withServer(["--max-file-handles", "2", "--max-observations", "1"], async (server) => {
    const [one, other] = [await server.connect(), await server.connect()];
    const open = (client: WireClient, handleId: string) =>
      client.call("fs/open", { handleId, path: "file:///etc/passwd" });
    const failed = async (attempt: Promise<unknown>) => String(await failureOf(attempt));
    for (const client of [one, other]) for (const id of ["a", "b"]) await open(client, id);
    assert.match(await failed(open(one, "c")), "at most 2 file handles may be open per connection");
    await one.call("fs/close", { handleId: "a" });
    await open(one, "c");
    const observe = (observeId: string) =>
      other.call("process/observe", { sessionId: one.sessionId, processId: "p", as: observeId });
    await one.startProcess("p", ["sleep", "600"]);
    await observe("x");
    assert.match(
      await failed(observe("y")),
      "this session has 1 observations already: end one, or raise --max-observations",
    );
    await other.call("process/unobserve", { processId: "x" });
    await observe("y");
    await one.call("process/terminate", { processId: "p" });
    await Promise.all([one.terminate(), other.terminate()]);
  }));

function closedOf(client: WireClient): number {
  return client.notifications.filter(({ method }) => method === "process/closed").length;
}

test("a flood of pings ends the connection, a few are answered", () =>
  withServer([], async (server) => {
    const client = await server.connect();
    assert.is(await client.ping("one"), "one");
    const flood = await pingFlood(server.url, 100_000);
    await until("it is ended", () => flood.ended() === 1);
    flood.stop();
    assert.is(await client.ping("two"), "two");
    await isAnswered(client);
    await client.terminate();
  }));

test("values that make no sense are refused", async () => {
  for (
    const args of [["--max-message", "65M"], ["--max-sessions", "0"], ["--handshake-timeout", "0"], [
      "--max-processes",
      "many",
    ]]
  ) {
    const { code, stderr } = await runServer({ args });
    assert.is(code, 2, stderr);
    assert.match(stderr, String(args[0]));
  }
});

test.run();
