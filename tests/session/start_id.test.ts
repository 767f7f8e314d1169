// A start whose answer was lost is asked again: `startId` says that it is the same one.
import { randomUUID } from "node:crypto";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { childrenOf, groupMembers, until } from "../harness/proc.ts";
import { startServer, type TestServer } from "../harness/server.ts";
import { openRawClient, pidOf, type RawClient, type RawEvent, refusalOf } from "./raw_client.ts";

let server: TestServer;
let client: RawClient;
let events: RawEvent[] = [];
const sleep = ["sleep", "600"];

test.before(async () => {
  server = await startServer();
});
test.after(async () => {
  await server.stop();
});
test.before.each(async () => {
  events = [];
  client = await openRawClient(server.url, { onEvent: (event) => events.push(event) });
});
test.after.each(async () => {
  const { processes } = await client.call("process/list", null);
  for (const { processId } of Array.isArray(processes) ? processes : []) {
    await client.call("process/terminate", { processId });
  }
  await client.terminate();
});

/** The guard, which comes with the first start, is known as one only once it has executed its program. */
async function oneMoreThan(before: readonly number[]): Promise<void> {
  await until(
    "one child more",
    () => childrenOf(server.pid).filter((pid) => !before.includes(pid)).length === 1,
  );
}

test("the same start again has the same answer and starts nothing", async () => {
  const startId = randomUUID();
  const before = childrenOf(server.pid);
  const answer = await client.start("p", sleep, { startId });
  const pid = await pidOf(client, "p");
  assert.equal(await client.start("p", sleep, { startId }), answer);
  assert.is(await pidOf(client, "p"), pid);
  assert.equal(groupMembers(pid), [pid]);
  await oneMoreThan(before);
});

test("many at once are one start", async () => {
  const startId = randomUUID();
  const before = childrenOf(server.pid);
  const answers = await Promise.all(Array.from({ length: 20 }, () => client.start("p", sleep, { startId })));
  for (const answer of answers) assert.equal(answer, answers[0]);
  await oneMoreThan(before);
});

test("the same start again from another connection is the same process", async () => {
  const startId = randomUUID();
  const answer = await client.start("p", sleep, { startId });
  const pid = await pidOf(client, "p");
  const next = await openRawClient(server.url, { initialize: { resumeSessionId: client.sessionId } });
  assert.equal(await next.start("p", sleep, { startId }), answer);
  assert.is(await pidOf(next, "p"), pid);
  client = next;
});

test("its output is pushed once", async () => {
  const startId = randomUUID();
  let closed: () => void = () => {};
  const ended = new Promise<void>((ok) => closed = ok);
  const other = await openRawClient(server.url, {
    onEvent(event) {
      events.push(event);
      if (event.type === "closed") closed();
    },
  });
  const start = () => other.start("p", ["/bin/sh", "-c", "echo once"], { startId });
  await Promise.all([start(), start(), start()]);
  await ended;
  await start();
  await other.call("process/list", null);
  assert.equal(events.map((event) => event.seq), events.map((_, index) => index + 1));
  assert.is(events.map((event) => event.bytes.toString()).join(""), "once\n");
  await other.terminate();
});

test("another startId, or none, is a second start with an id that is taken", async () => {
  await client.start("p", sleep, { startId: randomUUID() });
  for (const more of [{ startId: randomUUID() }, { startId: null }, {}]) {
    assert.equal(await refusalOf(client.start("p", sleep, more)), {
      code: -32600,
      message: "process p already exists",
    });
  }
});

test("without a startId the same id is taken", async () => {
  await client.start("p", sleep);
  for (const more of [{ startId: randomUUID() }, {}]) {
    assert.is((await refusalOf(client.start("p", sleep, more))).code, -32600);
  }
});

test("a start that failed can be asked again", async () => {
  const startId = randomUUID();
  await refusalOf(client.start("p", ["/nowhere/at/all"], { startId }));
  await client.start("p", sleep, { startId });
});

test.run();
