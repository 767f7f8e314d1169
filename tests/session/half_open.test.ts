// Peers that vanish without a word, and peers that are only slow.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { Environment } from "../../mod.ts";
import { digestOf, digestOfLines, linesFor, MB, printLines } from "../faults/lines.ts";
import { type Proxy, startProxy } from "../faults/proxy.ts";
import { isFull } from "../faults/random.ts";
import { startServer, type TestServer } from "../harness/server.ts";
import { WireError } from "../harness/wire_client.ts";
import { openRawClient, pidOf, type RawClient, refusalOf } from "./raw_client.ts";

/** When a peer that vanished is given up at the latest. */
const DETACHED_MS = 50_000;
/** Not before: until then it may be the network. */
const NOT_DETACHED_MS = 40_000;

async function withProxy(check: (proxy: Proxy, server: TestServer) => Promise<void>): Promise<void> {
  const server = await startServer();
  const proxy = await startProxy(server.url);
  try {
    await check(proxy, server);
  } finally {
    await proxy.stop();
    await server.stop();
  }
}

test("the session of a peer that vanished is taken over at once", () =>
  withProxy(async (proxy, server) => {
    const client = await openRawClient(proxy.url);
    await client.start("p", ["sleep", "600"]);
    const pid = await pidOf(client, "p");
    proxy.blackhole();
    const resumeSessionId = client.sessionId;
    const refused = openRawClient(server.url, { initialize: { resumeSessionId, takeOver: false } });
    assert.is((await refusalOf(refused)).code, -32010, "the server still believes in it");
    const began = performance.now();
    const next = await openRawClient(server.url, { initialize: { resumeSessionId } });
    assert.ok(performance.now() - began < 1_000);
    assert.is(await pidOf(next, "p"), pid);
    await next.call("process/terminate", { processId: "p" });
    await Promise.all([next.terminate(), client.terminate()]);
  }));

test("output that was on its way to a peer that vanished is pushed to the next one", () =>
  withProxy(async (proxy, server) => {
    const expected = digestOfLines(linesFor(4 * MB));
    const client = await openRawClient(proxy.url, { initialize: { acknowledgesOutput: true } });
    proxy.blackhole();
    const { sessionId } = client;
    // The server is still told what to do: it only cannot be heard.
    const next = await Environment.connect(server.url, { resumeSessionId: sessionId });
    const started = await next.processes.start({ argv: printLines(linesFor(4 * MB)) });
    assert.equal(await digestOf(started), { ...expected, exitCode: 0 });
    await next.close();
    await client.terminate();
  }));

if (isFull) {
  test("without a take-over it is detached within 50 s", () =>
    withProxy(async (proxy, server) => {
      const client = await openRawClient(proxy.url);
      const resumeSessionId = client.sessionId;
      proxy.blackhole();
      const began = performance.now();
      let next: RawClient | undefined;
      while (!next) {
        try {
          next = await openRawClient(server.url, { initialize: { resumeSessionId, takeOver: false } });
        } catch (error) {
          if (!(error instanceof WireError) || error.code !== -32010) throw error;
          assert.ok(performance.now() - began < DETACHED_MS, "still attached");
          await new Promise((wake) => setTimeout(wake, 250));
        }
      }
      const tookMs = performance.now() - began;
      console.log(`detached after ${(tookMs / 1000).toFixed(1)} s`);
      assert.ok(tookMs > NOT_DETACHED_MS && tookMs < DETACHED_MS);
      await Promise.all([next.terminate(), client.terminate()]);
    }));

  test("a slow reader that keeps draining is never cut", () =>
    withProxy(async (proxy) => {
      let reconnects = 0;
      await using there = await Environment.connect(proxy.url, {
        onConnectionChange: (state) => void (state !== "connected" && reconnects++),
      });
      const lines = linesFor(3 * MB);
      const began = performance.now();
      proxy.delay(2_000); // for each 64 KiB
      const started = await there.processes.start({ argv: printLines(lines) });
      assert.equal(await digestOf(started), { ...digestOfLines(lines), exitCode: 0 });
      const seconds = (performance.now() - began) / 1000;
      console.log(`${lines} lines in ${seconds.toFixed(0)} s`);
      assert.ok(seconds > 60, "it was slow");
      assert.is(reconnects, 0);
    }));
}

test.run();
