/** The client's acknowledgements must move the server's window whatever the output is made of. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type ProcessWire, remoteProcesses } from "../../src/process/remote.ts";

const test = suite("acknowledgements");

/** A server of which only the answers to `process/start` exist; the notifications that it gets are kept. */
function fakeServer(): { wire: ProcessWire; acknowledged: number[] } {
  const acknowledged: number[] = [];
  const wire: ProcessWire = {
    call: () => new Promise(() => {}),
    can: () => true,
    notify(_name, params) {
      if (
        typeof params === "object" && params !== null && "seq" in params && typeof params.seq === "number"
      ) {
        acknowledged.push(params.seq);
      }
    },
    hold: () => {},
  };
  return { wire, acknowledged };
}

for (const reads of [true, false]) {
  test(`single bytes are acknowledged while ${reads ? "they are read" : "nobody reads and the exit is awaited"}`, async () => {
    const { wire, acknowledged } = fakeServer();
    const started: { name: string } = { name: "" };
    wire.call = (_method, params) => {
      if (typeof params === "object" && params !== null && "processId" in params) {
        started.name = String(params.processId);
      }
      return Promise.resolve({});
    };
    const processes = remoteProcesses(wire, () => "/");
    const one = await processes.start({ argv: ["x"] });
    const reading = reads ? new Response(one.stdout).text() : one.wait();
    await new Promise((resolve) => setTimeout(resolve, 5)); // `wait` begins to discard in a later turn
    let newest = 0;
    for (let seq = 1; seq <= 2_000; seq++) {
      processes.receive("process/output", { processId: started.name, seq, stream: "stdout", chunk: "eA==" });
      if (seq % 500 === 0) await new Promise((resolve) => setImmediate(resolve));
      newest = acknowledged.at(-1) ?? 0;
    }
    assert.ok(newest >= 1_000, `acknowledged up to ${newest}`);
    processes.receive("process/exited", {
      processId: started.name,
      seq: 2_001,
      exitCode: 0,
      sandboxDenied: false,
    });
    processes.receive("process/closed", { processId: started.name, seq: 2_002 });
    await reading;
  });
}

test.run();
