// Standard input of a process while its client's connection is cut again and again: every byte arrives once, in order.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { Environment } from "../../mod.ts";
import { exited } from "../harness/exits.ts";
import { readText } from "../harness/read_process.ts";
import { startServer } from "../harness/server.ts";
import { cutAtRandom } from "./cuts.ts";
import { createDigester, linesFor, MB, numberedLines } from "./lines.ts";
import { startProxy } from "./proxy.ts";
import { createRandom, isFull, seedCount, seeds } from "./random.ts";

const BYTES = (isFull ? 50 : 5) * MB;
const CUTS = 30;

for (const seed of seeds(seedCount(3, 20))) {
  test(`${BYTES / MB} MB into sha256sum with ${CUTS} cuts, seed ${seed}`, async () => {
    const server = await startServer();
    const proxy = await startProxy(server.url);
    try {
      await using there = await Environment.connect(proxy.url);
      const hashing = await there.processes.start({ argv: ["sha256sum"], pipeStdin: true });
      const answer = readText(hashing.stdout);
      const cuts = cutAtRandom(proxy, createRandom(seed), { cuts: CUTS, bytes: BYTES, direction: "up" });
      const sent = createDigester();
      const writer = hashing.stdin.getWriter();
      for (const piece of numberedLines(linesFor(BYTES))) {
        sent.add(piece);
        await writer.write(piece);
      }
      await writer.close();
      const text = await answer;
      cuts.stop();
      console.log(`seed ${seed}: ${sent.bytes} bytes, ${cuts.done} cuts, ${text.trim()}`);
      assert.is(text, `${sent.result().sha256}  -\n`);
      assert.equal(await hashing.wait(), exited(0));
      assert.is(cuts.done, CUTS);
    } finally {
      await proxy.stop();
      await server.stop();
    }
  });
}

test.run();
