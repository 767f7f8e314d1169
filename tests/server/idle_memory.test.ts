// A server with nothing to do gives back the memory that its start, and its last client, needed.
import { test } from "uvu";
import { memoryOf, until } from "../harness/proc.ts";
import { withServer } from "../harness/server.ts";

test("an idle server has at most three quarters of the memory it once had, again after each client", () =>
  withServer([], async (server) => {
    const isSmall = () => memoryOf(server.pid) < 0.75 * memoryOf(server.pid, "VmHWM");
    await until("the server is small after its start", isSmall);
    for (let client = 0; client < 2; client++) {
      const wire = await server.connect();
      await wire.startProcess("true", ["/bin/true"]);
      await wire.collect("true");
      await wire.terminate();
      await until("the server is small again", isSmall);
    }
  }));
test.run();
