// Output that nobody takes for a while: it is kept, on disk beyond a little memory, and all of it arrives. What may not
// be kept holds the process back, or is said to be lost.
import { Buffer } from "node:buffer";
import { readFileSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { Environment } from "../../mod.ts";
import { codeOf } from "../harness/code_of.ts";
import { isRunning, memoryOf, until, untilStill } from "../harness/proc.ts";
import { type TestServer, withServer } from "../harness/server.ts";
import { openRawClient, pidOf, type RawClient, type RawEvent, readOnce } from "../session/raw_client.ts";
import { createDigester, digestOf, digestOfLines, linesFor, MB, printLines } from "./lines.ts";
import { startProxy } from "./proxy.ts";
import { isFull } from "./random.ts";

const BYTES = (isFull ? 500 : 60) * MB;
const STREAM_BYTES = (isFull ? 3_000 : 300) * MB;
/** The time that a client is gone for. */
const GONE_MS = isFull ? 60_000 : 0;
const MAX_SERVER_MB = 150;
/** More than a process may leave in pipes, and in the server while somebody is attached. */
const MORE_THAN_FITS = 8 * MB;

/** Bytes that a process has written, as the kernel counts them. */
function written(pid: number): number {
  return Number(/^wchar: (\d+)$/m.exec(readFileSync(`/proc/${pid}/io`, "utf8"))?.[1]);
}

function assertSmall(server: TestServer): void {
  const peak = memoryOf(server.pid, "VmHWM");
  console.log(`server's peak memory: ${peak.toFixed(0)} MB`);
  assert.ok(peak < MAX_SERVER_MB, `the server's peak memory is ${peak} MB`);
}

/** Ends with 0 once it has printed the lines, so that somebody who is not connected can see it. */
function printThenWait(lines: number): string[] {
  return ["/bin/sh", "-c", `seq 1 ${lines}; exec sleep 600`];
}

/** Waits until a process that nobody listens to has printed everything, or is held back. */
async function untilPrinted(pid: number): Promise<void> {
  await until("everything is printed", () => !isRunning(pid) || commandOf(pid) === "sleep", 120_000);
}

function commandOf(pid: number): string {
  return readFileSync(`/proc/${pid}/comm`, "utf8").trim();
}

/** Collects what is pushed of one process, and fails on the first gap. */
function createTaker(afterSeq = 0) {
  const digester = createDigester();
  let seq = afterSeq;
  let failure: Error | undefined;
  let finish: () => void = () => {};
  const ended = new Promise<void>((ok) => finish = ok);
  return {
    digester,
    ended,
    get seq() {
      return seq;
    },
    take(event: Pick<RawEvent, "seq" | "bytes"> & { type?: RawEvent["type"] }) {
      if (event.seq !== seq + 1) failure ??= new Error(`event ${event.seq} came after ${seq}`);
      seq = event.seq;
      digester.add(event.bytes);
      if (event.type === "closed" || failure) finish();
    },
    check() {
      if (failure) throw failure;
    },
  };
}

test(`a client that was gone while ${BYTES / MB} MB were printed gets them all`, () =>
  withServer(["--retained-output", "1G"], async (server) => {
    const lines = linesFor(BYTES);
    const proxy = await startProxy(server.url);
    try {
      await using there = await Environment.connect(proxy.url);
      const started = await there.processes.start({ argv: printThenWait(lines), id: "p" });
      const [summary] = await there.processes.list();
      proxy.refuse(true);
      proxy.cut();
      const pause = new Promise((wake) => setTimeout(wake, GONE_MS));
      await Promise.all([untilPrinted(summary?.pid ?? 0), pause]);
      proxy.refuse(false);
      const digester = createDigester();
      const all = digestOfLines(lines);
      for await (const event of started.events()) {
        if (event.type === "output") digester.add(event.bytes);
        if (digester.bytes >= all.bytes) break;
      }
      assert.equal(digester.result(), all);
      assertSmall(server);
      await started.terminate();
    } finally {
      await proxy.stop();
    }
  }));

test(`a plain client reads after its resume, then is pushed the rest of ${BYTES / MB} MB in order`, () =>
  withServer(["--retained-output", "1G"], async (server) => {
    const lines = linesFor(BYTES);
    const first = await openRawClient(server.url);
    await first.start("p", printThenWait(lines));
    const pid = await pidOf(first, "p");
    await first.terminate();
    await untilPrinted(pid);

    const taker = createTaker();
    let answered = false;
    const early: number[] = [];
    const all = digestOfLines(lines);
    const client = await openRawClient(server.url, {
      initialize: { resumeSessionId: first.sessionId },
      onEvent(event) {
        if (!answered) early.push(event.seq);
        taker.take(event);
      },
    });
    const terminated = async () => {
      await until("everything is there", () => taker.digester.bytes >= all.bytes, 60_000);
      taker.check();
      await client.call("process/terminate", { processId: "p" });
    };
    // Like the reference client: what a read answers comes before what is pushed, and both are in order.
    const read = await readOnce(client, { processId: "p", afterSeq: 0 });
    for (const chunk of read.chunks) taker.take(chunk);
    answered = true;
    assert.equal(early, [], "nothing is pushed before the answer");
    assert.is(read.nextSeq, taker.seq + 1);
    assert.ok(taker.digester.bytes > 0);
    await terminated();
    await taker.ended;
    taker.check();
    assert.equal(taker.digester.result(), all);
    assertSmall(server);
    await client.terminate();
  }));

test("an answer that has no room for all output does not tell of an exit that comes behind it", () =>
  withServer([], async (server) => {
    for (const more of [{}, { maxBytes: null }]) {
      // A session for each: what one client has received is not kept for the next.
      const first = await openRawClient(server.url);
      await first.start("p", ["head", "-c", String(8 * MB), "/dev/zero"]);
      const pid = await pidOf(first, "p");
      await first.terminate();
      await until("it has ended", () => !isRunning(pid));
      const client = await openRawClient(server.url, { initialize: { resumeSessionId: first.sessionId } });
      const read = await client.call("process/read", { processId: "p", afterSeq: 0, waitMs: 0, ...more });
      assert.equal(
        [read["exited"], read["exitCode"], read["closed"]],
        [false, null, false],
        JSON.stringify(more),
      );
      await client.terminate();
    }
  }));

test(`a plain client, which acknowledges nothing, streams ${STREAM_BYTES / MB} MB`, () =>
  withServer([], async (server) => {
    const lines = linesFor(STREAM_BYTES);
    const taker = createTaker();
    const client = await openRawClient(server.url, { onEvent: (event) => taker.take(event) });
    const began = performance.now();
    await client.start("p", printLines(lines));
    await taker.ended;
    taker.check();
    const seconds = (performance.now() - began) / 1000;
    console.log(`${(STREAM_BYTES / MB / seconds).toFixed(0)} MB/s`);
    assert.equal(taker.digester.result(), digestOfLines(lines));
    assertSmall(server);
    await client.terminate();
  }));

test("with --retained-output 1M the process waits for its client, and nothing is lost", () =>
  withServer(["--retained-output", "1M"], async (server) => {
    const lines = linesFor(MORE_THAN_FITS);
    const proxy = await startProxy(server.url);
    try {
      await using there = await Environment.connect(proxy.url);
      const started = await there.processes.start({ argv: printLines(lines) });
      const [summary] = await there.processes.list();
      const pid = summary?.pid ?? 0;
      proxy.refuse(true);
      proxy.cut();
      await untilStill(() => written(pid));
      assert.ok(isRunning(pid), "the process is held back");
      assert.ok(written(pid) < MORE_THAN_FITS / 2, `${written(pid)} bytes were written`);
      proxy.refuse(false);
      assert.equal(await digestOf(started), { ...digestOfLines(lines), exitCode: 0 });
    } finally {
      await proxy.stop();
    }
  }));

test("with --when-full drop-oldest the process goes on, and the client is told what is lost", () =>
  withServer(["--retained-output", "1M", "--when-full", "drop-oldest"], async (server) => {
    const lines = linesFor(MORE_THAN_FITS);
    const expected = Buffer.from(
      Array.from({ length: 1000 }, (_, index) => `${lines - 999 + index}\n`).join(""),
    );
    const proxy = await startProxy(server.url);
    try {
      await using there = await Environment.connect(proxy.url);
      const started = await there.processes.start({ argv: printThenWait(lines), id: "p" });
      const [summary] = await there.processes.list();
      proxy.refuse(true);
      proxy.cut();
      await untilPrinted(summary?.pid ?? 0);
      proxy.refuse(false);
      assert.is(
        await codeOf((async () => {
          for await (const event of started.events()) void event;
        })()),
        "OUTPUT_LOST",
      );

      // A client that asks is told the range, and gets the end of the output.
      const client: RawClient = await openRawClient(server.url, {
        initialize: { resumeSessionId: there.sessionId ?? "" },
      });
      const read = await readOnce(client, { processId: "p", afterSeq: 0 });
      assert.is(read.lost?.fromSeq, 1);
      assert.is(read.lost?.toSeq, (read.chunks[0]?.seq ?? 0) - 1);
      assert.ok((read.lost?.toSeq ?? 0) > 0);
      const kept = Buffer.concat(read.chunks.map((chunk) => chunk.bytes));
      assert.ok(kept.subarray(-expected.length).equals(expected), "the newest output is kept");
      assert.equal(await client.call("process/terminate", { processId: "p" }), { running: true });
      await client.terminate();
    } finally {
      await proxy.stop();
    }
  }));

test.run();
