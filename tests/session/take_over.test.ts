// A session changes hands: in one step, whatever is going on, and nothing is lost.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { createDigester, digestOfLines } from "../faults/lines.ts";
import { isFull } from "../faults/random.ts";
import { type TestServer, withServer } from "../harness/server.ts";
import { type JsonObject, WireError } from "../harness/wire_client.ts";
import { openRawClient, type RawClient, type RawEvent, refusalOf } from "./raw_client.ts";

const TAKE_OVERS = isFull ? 100 : 20;
const RESUMED = "session has been resumed by another connection";
/** The process prints so many bursts of lines, 10 ms apart, and outlasts the take-overs. */
const BURSTS = isFull ? 4_000 : 400;
const LINES_OF_BURST = 20_000;
const PRINT = `i=0; while [ $i -lt ${BURSTS} ]; do
  seq $((i * ${LINES_OF_BURST} + 1)) $(((i + 1) * ${LINES_OF_BURST})); sleep 0.01; i=$((i + 1)); done`;

/** What the clients of one session have of a process between them. */
function createShared(processId: string) {
  const digester = createDigester();
  let seq = 0;
  let waiting: { atLeast: number; go: () => void } | undefined;
  let closed: () => void = () => {};
  let isOver = false;
  const ended = new Promise<void>((ok) => closed = ok);
  return {
    get isOver() {
      return isOver;
    },
    get seq() {
      return seq;
    },
    digester,
    ended,
    /** Resolves when so many more events are there, or the last one. */
    more: (events: number) =>
      Promise.race([ended, new Promise<void>((go) => waiting = { atLeast: seq + events, go })]),
    take(event: RawEvent, client: RawClient) {
      if (event.processId !== processId) return;
      // What was on its way to the loser may come twice; it may not be missing.
      assert.ok(event.seq <= seq + 1, `event ${event.seq} after ${seq}`);
      client.acknowledge(processId, event.seq);
      if (event.seq <= seq) return;
      seq = event.seq;
      digester.add(event.bytes);
      if (waiting && seq >= waiting.atLeast) waiting.go();
      if (event.type !== "closed") return;
      isOver = true;
      closed();
    },
  };
}

test(`two clients that take a session from each other ${TAKE_OVERS} times lose nothing`, () =>
  withServer([], async (server) => {
    const shared = createShared("lines");
    let failure: unknown;
    const onEvent = (event: RawEvent, client: RawClient) => {
      try {
        if (events.get(client) === "over") throw new Error("the loser was sent an event after its refusal");
        shared.take(event, client);
      } catch (error) {
        failure ??= error;
      }
    };
    const events = new WeakMap<RawClient, "over">();
    const open = (more: JsonObject) =>
      openRawClient(server.url, { initialize: { acknowledgesOutput: true, ...more }, onEvent });
    const resume = async (id: string): Promise<RawClient> => {
      for (;;) {
        try {
          return await open({ resumeSessionId: id, cursors: { lines: shared.seq, quiet: 0 } });
        } catch (error) {
          // A session that changes hands too often is refused for a while.
          if (!(error instanceof WireError) || error.code !== -32010) throw error;
          await new Promise((wake) => setTimeout(wake, 250));
        }
      }
    };
    let holder = await open({});
    const { sessionId } = holder;
    await holder.start("quiet", ["sleep", "600"]);
    await holder.start("lines", ["/bin/sh", "-c", PRINT]);
    for (let round = 1; round <= TAKE_OVERS; round++) {
      await shared.more(5);
      const loser = holder;
      const poll = refusalOf(loser.call("process/read", { processId: "quiet", waitMs: 600_000 })).then(
        (refusal) => {
          events.set(loser, "over");
          return refusal;
        },
      );
      holder = await resume(sessionId);
      assert.equal(await poll, { code: -32600, message: RESUMED });
      assert.equal(await loser.closed, { code: 4001, reason: RESUMED });
      assert.is(failure, undefined, String(failure));
    }
    assert.not(shared.isOver, "the process prints during all take-overs");
    await shared.ended;
    assert.is(failure, undefined, String(failure));
    assert.equal(shared.digester.result(), digestOfLines(BURSTS * LINES_OF_BURST));
    await holder.terminate();
  }));

test("a start that is under way at the take-over stays with the session", () =>
  withServer([], async (server) => {
    let refused = 0;
    for (let round = 1; round <= 10; round++) {
      const pushed: RawEvent[] = [];
      let closed: () => void = () => {};
      const ended = new Promise<void>((ok) => closed = ok);
      const first = await openRawClient(server.url);
      const second = await openRawClient(server.url, {
        initialize: false,
        onEvent(event) {
          pushed.push(event);
          if (event.type === "closed") closed();
        },
      });
      const start = first.start("p", ["/bin/sh", "-c", "echo here; exit 3"])
        .catch((error: Error) => void (error.message === RESUMED && refused++));
      await first.call("process/list", null); // answered: the start has begun
      await second.initialize({
        acknowledgesOutput: true,
        resumeSessionId: first.sessionId,
        cursors: { p: 0 },
      });
      await ended;
      assert.equal(pushed.map((event) => event.seq), pushed.map((_, index) => index + 1));
      assert.is(pushed.map((event) => event.bytes.toString()).join(""), "here\n");
      await start;
      await second.terminate();
    }
    console.log(`${refused} of 10 starts were under way`);
  }));

test("takeOver: false is refused while another connection has the session", () =>
  withServer([], async (server) => {
    const holder = await openRawClient(server.url);
    const { code, message } = await refusalOf(
      openRawClient(server.url, { initialize: { resumeSessionId: holder.sessionId, takeOver: false } }),
    );
    assert.is(code, -32010);
    assert.match(message, /is already attached to another connection$/);
    await holder.call("process/list", null); // still the holder
    await holder.terminate();
  }));

test("--no-take-over refuses every take-over, and lets a detached session be resumed", () =>
  withServer(["--no-take-over"], async (server) => {
    const holder = await openRawClient(server.url);
    const resume = { resumeSessionId: holder.sessionId };
    assert.is((await refusalOf(openRawClient(server.url, { initialize: resume }))).code, -32010);
    await holder.call("process/list", null);
    await holder.terminate();
    const again = await untilResumed(server, resume);
    assert.is(again.sessionId, holder.sessionId);
    await again.terminate();
  }));

/** The server notices the end of the other connection a moment later. */
async function untilResumed(server: TestServer, initialize: JsonObject): Promise<RawClient> {
  for (let attempt = 0;; attempt++) {
    try {
      return await openRawClient(server.url, { initialize });
    } catch (error) {
      if (!(error instanceof WireError) || error.code !== -32010 || attempt > 100) throw error;
      await new Promise((wake) => setTimeout(wake, 10));
    }
  }
}

test("a session that changes hands more than 50 times in 10 s refuses newcomers", () =>
  withServer([], async (server) => {
    let holder = await openRawClient(server.url);
    const initialize = { resumeSessionId: holder.sessionId };
    const clients = [holder];
    for (let count = 1; count <= 50; count++) {
      clients.push(holder = await openRawClient(server.url, { initialize }));
    }
    assert.is((await refusalOf(openRawClient(server.url, { initialize }))).code, -32010);
    await holder.call("process/list", null); // the holder keeps it
    await Promise.all(clients.map((client) => client.terminate()));
  }));

test.run();
