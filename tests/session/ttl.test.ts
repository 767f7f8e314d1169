// The time to live of a session without a connection: its deadline is sharp, and what it held is gone with it.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { createRandom, isFull, seeds } from "../faults/random.ts";
import { groupMembers, isRunning, until } from "../harness/proc.ts";
import { startServer, type TestServer } from "../harness/server.ts";
import { WireError } from "../harness/wire_client.ts";
import { openRawClient, pidOf, readOnce, refusalOf } from "./raw_client.ts";

const SESSIONS = isFull ? 200 : 20;
const TTL_MS = 1_000;
/** A resume comes at most so far from the deadline. */
const AROUND_MS = 5;

let server: TestServer;
test.before(async () => {
  server = await startServer({ args: ["--session-ttl", "1", "--max-session-ttl", "3"] });
});
test.after(async () => {
  await server.stop();
});

/** A session with a group of three processes, whose client leaves; resumed about when its time is over. */
async function resumeAtDeadline(offsetMs: number): Promise<"resumed" | "gone"> {
  const client = await openRawClient(server.url);
  await client.start("p", ["/bin/sh", "-c", "sleep 600 & sleep 600 & wait"]);
  const leader = await pidOf(client, "p");
  await until("the group is there", () => groupMembers(leader).length === 3);
  const next = await openRawClient(server.url, { initialize: false });
  const left = performance.now();
  await client.terminate();
  await new Promise((wake) => setTimeout(wake, TTL_MS + offsetMs - (performance.now() - left)));
  try {
    await next.initialize({ resumeSessionId: client.sessionId });
  } catch (error) {
    const members = groupMembers(leader);
    assert.ok(error instanceof WireError, String(error));
    assert.is(error.code, -32600);
    assert.match(error.message, /^unknown session id /);
    assert.equal(members, [], "members of the group at the moment of the answer");
    await next.terminate();
    return "gone";
  }
  assert.is(next.sessionId, client.sessionId);
  assert.is(groupMembers(leader).length, 3, "the processes of a resumed session");
  // Past the old deadline it lives on.
  await new Promise((wake) => setTimeout(wake, 2 * AROUND_MS));
  assert.is(await pidOf(next, "p"), leader);
  assert.equal(await next.call("process/terminate", { processId: "p" }), { running: true });
  await next.terminate();
  return "resumed";
}

const [seed = 0] = seeds(1);
test(`a resume at the deadline finds everything or nothing: ${SESSIONS} times, seed ${seed}`, async () => {
  const random = createRandom(seed);
  const results: string[] = [];
  const atOnce = 10;
  for (let done = 0; done < SESSIONS; done += atOnce) {
    const offsets = Array.from({ length: atOnce }, () => random.below(2 * AROUND_MS + 1) - AROUND_MS);
    results.push(...await Promise.all(offsets.map(resumeAtDeadline)));
  }
  const resumed = results.filter((result) => result === "resumed").length;
  console.log(`seed ${seed}: ${resumed} resumed, ${results.length - resumed} gone`);
});

test("an expired session's processes are gone without a resume", async () => {
  const client = await openRawClient(server.url);
  await client.start("p", ["/bin/sh", "-c", "sleep 600 & sleep 600 & wait"]);
  const leader = await pidOf(client, "p");
  await client.terminate();
  assert.ok(isRunning(leader));
  await until("the group is gone", () => groupMembers(leader).length === 0, 5 * TTL_MS);
  const { code, message } = await refusalOf(
    openRawClient(server.url, { initialize: { resumeSessionId: client.sessionId } }),
  );
  assert.is(code, -32600);
  assert.match(message, /^unknown session id /);
});

test("a client may ask for another time to live, up to --max-session-ttl", async () => {
  const ttlOf = async (initialize: Record<string, unknown>) => {
    const client = await openRawClient(server.url, { initialize });
    await client.terminate();
    return client.opened["sessionTtlMs"];
  };
  assert.is(await ttlOf({ acknowledgesOutput: true }), TTL_MS);
  assert.is(await ttlOf({ acknowledgesOutput: true, sessionTtlMs: 2_500 }), 2_500);
  assert.is(await ttlOf({ acknowledgesOutput: true, sessionTtlMs: 60_000 }), 3_000);
  assert.is(await ttlOf({ acknowledgesOutput: true, sessionTtlMs: 20 }), 20);
  assert.is(await ttlOf({}), undefined, "the plain wire does not know it");
});

test("a session lives as long as its client asked for", async () => {
  const open = (sessionTtlMs: number) =>
    openRawClient(server.url, { initialize: { acknowledgesOutput: true, sessionTtlMs } });
  const [short, long] = await Promise.all([open(100), open(60_000)]);
  await Promise.all([short.terminate(), long.terminate()]);
  await new Promise((wake) => setTimeout(wake, 1.5 * TTL_MS));
  const resume = (resumeSessionId: string) =>
    openRawClient(server.url, { initialize: { acknowledgesOutput: true, resumeSessionId } });
  assert.is((await refusalOf(resume(short.sessionId))).code, -32600);
  const again = await resume(long.sessionId);
  assert.is(again.opened["sessionTtlMs"], 3_000);
  await again.terminate();
});

test("a closed process can be read for the time to live, and then no more", async () => {
  const client = await openRawClient(server.url);
  let closed: () => void = () => {};
  const ended = new Promise<void>((ok) => closed = ok);
  const watching = await openRawClient(server.url, {
    onEvent: (event) => event.type === "closed" && closed(),
  });
  await watching.start("p", ["/bin/sh", "-c", "echo kept; exit 7"]);
  await ended;
  const closedAt = performance.now();
  await new Promise((wake) => setTimeout(wake, TTL_MS / 2));
  const read = await readOnce(watching, { processId: "p", afterSeq: 0 });
  assert.is(read.chunks.map((chunk) => chunk.bytes.toString()).join(""), "kept\n");
  assert.is(read.exitCode, 7);
  for (;;) {
    try {
      await readOnce(watching, { processId: "p", afterSeq: 0 });
    } catch (error) {
      assert.ok(error instanceof WireError);
      assert.match(error.message, /^unknown process id /);
      break;
    }
    assert.ok(performance.now() - closedAt < 5 * TTL_MS, "it is forgotten");
    await new Promise((wake) => setTimeout(wake, 20));
  }
  assert.ok(performance.now() - closedAt > TTL_MS * 0.95);
  await Promise.all([client.terminate(), watching.terminate()]);
});

test("what is not delivered yet outlives the process, however slow the reader is", async () => {
  const received: number[] = [];
  let closed: () => void = () => {};
  const ended = new Promise<void>((ok) => closed = ok);
  let last = 0;
  const client = await openRawClient(server.url, {
    initialize: { acknowledgesOutput: true },
    onEvent(event) {
      assert.is(event.seq, ++last);
      received.push(event.bytes.length);
      if (event.type === "closed") closed();
    },
  });
  // More than the window of what is not acknowledged, less than what may wait in the server.
  await client.start("p", ["head", "-c", "2000000", "/dev/zero"]);
  const pid = await pidOf(client, "p");
  await until("the process has ended", () => !isRunning(pid));
  await new Promise((wake) => setTimeout(wake, 2 * TTL_MS));
  client.acknowledge("p", last);
  for (let acknowledged = last; received.reduce((sum, bytes) => sum + bytes, 0) < 2_000_000;) {
    const before = last;
    await Promise.race([ended, new Promise((wake) => setTimeout(wake, 200))]);
    if (last > acknowledged) client.acknowledge("p", acknowledged = last);
    assert.ok(last > before, `nothing comes after event ${last}`);
  }
  await ended;
  assert.is(received.reduce((sum, bytes) => sum + bytes, 0), 2_000_000);
  await client.terminate();
});

test.run();
