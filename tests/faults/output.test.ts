// A process prints numbered lines at full speed while its client's connection is cut again and again: every byte
// arrives once, in order, and the server's memory stays small.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { Environment } from "../../mod.ts";
import { memoryOf } from "../harness/proc.ts";
import { startServer } from "../harness/server.ts";
import { cutAtRandom } from "./cuts.ts";
import { digestOf, digestOfLines, linesFor, MB, printLines } from "./lines.ts";
import { startProxy } from "./proxy.ts";
import { createRandom, isFull, seedCount, seeds } from "./random.ts";

const BYTES = (isFull ? 200 : 20) * MB;
const CUTS = 30;
const MAX_SERVER_MB = 150;

const lines = linesFor(BYTES);
const expected = digestOfLines(lines);

for (const seed of seeds(seedCount(3, 20))) {
  test(`${BYTES / MB} MB with ${CUTS} cuts, seed ${seed}`, async () => {
    const began = performance.now();
    const server = await startServer();
    const proxy = await startProxy(server.url);
    try {
      let reconnects = 0;
      await using there = await Environment.connect(proxy.url, {
        onConnectionChange: (state) => void (state === "connected" && reconnects++),
      });
      const cuts = cutAtRandom(proxy, createRandom(seed), { cuts: CUTS, bytes: BYTES, direction: "down" });
      const started = await there.processes.start({ argv: printLines(lines) });
      const { exitCode, ...received } = await digestOf(started);
      cuts.stop();
      const peak = memoryOf(server.pid, "VmHWM");
      const seconds = ((performance.now() - began) / 1000).toFixed(1);
      console.log(
        `seed ${seed}: ${received.bytes} bytes, ${cuts.done} cuts, ${reconnects} reconnects, ` +
          `peak ${peak.toFixed(0)} MB, ${seconds} s, sha256 ${received.sha256.slice(0, 16)}`,
      );
      assert.is(exitCode, 0);
      assert.is(received.bytes, expected.bytes);
      assert.is(received.sha256, expected.sha256);
      assert.is(cuts.done, CUTS);
      assert.ok(reconnects > 0);
      assert.ok(peak < MAX_SERVER_MB, `the server's peak memory is ${peak} MB`);
    } finally {
      await proxy.stop();
      await server.stop();
    }
  });
}

test.run();
