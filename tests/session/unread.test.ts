// Output that a program does not read yet must not hold back what it does read.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { Environment } from "../../mod.ts";
import { digestOf, digestOfLines, linesFor, MB, printLines } from "../faults/lines.ts";
import { isRunning, untilStill } from "../harness/proc.ts";
import { startServer } from "../harness/server.ts";

test("thirty processes that nobody reads leave room for the one that is read", async () => {
  const server = await startServer();
  try {
    await using there = await Environment.connect(server.url);
    const lines = linesFor(4 * MB);
    const all = [];
    for (let count = 0; count < 30; count++) {
      all.push(await there.processes.start({ argv: printLines(lines) }));
    }
    const pids = (await there.processes.list()).map(({ pid }) => pid ?? 0);
    await untilStill(() => pids.filter(isRunning).join());
    const expected = { ...digestOfLines(lines), exitCode: 0 };
    for (const process of all.reverse()) assert.equal(await digestOf(process), expected);
  } finally {
    await server.stop();
  }
});

test.run();
