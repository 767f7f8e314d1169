// Nothing of a process tree survives: not its termination, not the end of its session, not any end of the server.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { startServer } from "../harness/server.ts";
import { cutDown, growTree, TRACELESS, TREES, WAYS } from "../harness/trees.ts";

const TTL_MS = 1_000;

for (const tree of [...TREES, TRACELESS]) {
  for (const way of WAYS) {
    test(`${way}: ${tree.name}`, async () => {
      const server = await startServer({ args: ["--session-ttl", String(TTL_MS / 1000)] });
      try {
        const { left } = await cutDown(server, await growTree(server, tree), way, TTL_MS);
        assert.is(left, 0);
      } finally {
        await server.stop();
      }
    });
  }
}

test.run();
