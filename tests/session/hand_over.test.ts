// What a client has received but its program has not read belongs to whoever has the session next.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { Environment } from "../../mod.ts";
import { createDigester, digestOfLines, linesFor, MB, printLines } from "../faults/lines.ts";
import { startProxy } from "../faults/proxy.ts";
import { startServer } from "../harness/server.ts";

test("nothing is lost between a reconnect and a take-over", async () => {
  const server = await startServer();
  const proxy = await startProxy(server.url);
  try {
    let connected: () => void = () => {};
    const again = new Promise<void>((ok) => connected = ok);
    await using first = await Environment.connect(proxy.url, {
      onConnectionChange: (state) => state === "connected" && connected(),
    });
    const lines = linesFor(4 * MB);
    const digester = createDigester();
    let seq = 0;
    const take = (event: Awaited<ReturnType<typeof events.next>>["value"]) => {
      if (!event || event.seq <= seq) return;
      assert.is(event.seq, ++seq, "the next event");
      if (event.type === "output") digester.add(event.bytes);
    };
    const started = await first.processes.start({ argv: printLines(lines) });
    // No loop: to leave it would give up the rest.
    const events = started.events()[Symbol.asyncIterator]();
    take((await events.next()).value);
    await first.processes.list(); // what the window lets through has been received
    proxy.cut();
    await again;
    await first.processes.list();

    await using second = await Environment.connect(server.url, { resumeSessionId: first.sessionId ?? "" });
    for await (const event of (await second.processes.attach(started.id)).events()) take(event);
    assert.equal(digester.result(), digestOfLines(lines));
  } finally {
    await proxy.stop();
    await server.stop();
  }
});

test.run();
