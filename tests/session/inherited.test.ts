// A server that was started by a shell with a job in the background: what it inherits does not keep it from reaping.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { childrenOf, isRunning, until } from "../harness/proc.ts";
import { programUnderTest } from "../harness/program.ts";
import { startServer } from "../harness/server.ts";
import { tempDir } from "../harness/temp.ts";
import { openRawClient, readOnce } from "./raw_client.ts";

const ORPHANS = 5;

test("inherited children, and what they leave, are reaped beside the orphans of processes", async () => {
  const program = join(tempDir(), "server-with-a-child");
  const [file, before] = programUnderTest();
  // One child, which leaves an orphan in the session of the server when it ends.
  const job = "(sleep 0.5; sleep 0.5 &) &";
  writeFileSync(program, `#!/bin/sh\n${job}\nexec ${[file, ...before].join(" ")} "$@"\n`, { mode: 0o755 });
  const server = await startServer({ program });
  try {
    const [inherited = 0, ...others] = childrenOf(server.pid);
    assert.ok(inherited > 0 && others.length === 0, "it has inherited a child");
    await until("the child has ended", () => !isRunning(inherited));
    const client = await openRawClient(server.url);
    const script = `i=0; while [ $i -lt ${ORPHANS} ]; do (setsid sleep 0.1 &); i=$((i+1)); done; exit 4`;
    await client.start("orphans", ["/bin/sh", "-c", script]);
    await until("no child and no zombie is left", () => childrenOf(server.pid).length === 0);
    // Whoever reaps must leave the others' exit codes to them.
    const { exitCode } = await readOnce(client, { processId: "orphans", afterSeq: 0, waitMs: 5_000 });
    assert.is(exitCode, 4);
  } finally {
    await server.stop();
  }
});

test.run();
