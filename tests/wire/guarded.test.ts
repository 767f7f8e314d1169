// A server that is killed leaves nothing, not even when it is killed as soon as its first process says something.
import { test } from "uvu";
import * as v from "valibot";
import { isRunning, until } from "../harness/proc.ts";
import { send } from "../harness/program.ts";
import { startServer } from "../harness/server.ts";
import { tempDir } from "../harness/temp.ts";

/** How soon a guard stands is a matter of chance. */
const TRIES = 3;
const GONE_MS = 10_000;
const Output = v.object({ method: v.literal("process/output"), params: v.object({ chunk: v.string() }) });

for (let attempt = 1; attempt <= TRIES; attempt++) {
  test(`the first process is guarded from its start, try ${attempt}`, async () => {
    // A killed server cannot remove its temporary files.
    const server = await startServer({ env: { TMPDIR: tempDir() } });
    let pid = 0;
    try {
      const client = await server.connect();
      await client.startProcess("first", ["/bin/sh", "-c", 'trap "" TERM HUP; echo $$; exec sleep 999']);
      pid = Number(atob(v.parse(Output, await client.waitFor((m) => v.is(Output, m))).params.chunk));
      await server.stop("SIGKILL");
      await until(`process ${pid} is gone`, () => !isRunning(pid), GONE_MS);
    } finally {
      await server.stop("SIGKILL");
      if (pid > 1) send(-pid, "SIGKILL");
    }
  });
}
test.run();
