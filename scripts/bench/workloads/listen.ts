/** A server that comes up and does nothing. */
import { eachServer, startKind } from "../peers/servers.ts";
import { memoryOfAll } from "../memory.ts";
import type { Workload } from "../workload.ts";

/** How long it is left alone before its memory counts, in ms: start-up is over then. */
const SETTLE_MS = 1_000;

/** From exec to the line with the URL, and the memory then. */
export const listen: Workload = {
  name: "listen",
  about:
    "From the exec of the server to the line with its URL, and its memory (resident, with its own helper " +
    `processes) ${SETTLE_MS} ms later.`,
  figures: [
    { key: "time", title: "exec to listening", unit: "ms", targets: { codex: 1 / 3 } },
    { key: "memory", title: "memory, idle", unit: "MiB", targets: { codex: 1 } },
  ],
  rounds: 10,
  limitMs: 30_000,
  contenders: eachServer((kind) => (scene) =>
    Promise.resolve({
      async round() {
        const from = performance.now();
        const server = await startKind(kind, scene);
        const time = performance.now() - from;
        await new Promise((wake) => setTimeout(wake, SETTLE_MS));
        const memory = memoryOfAll(server.pid);
        await server.stop();
        return { time, memory };
      },
      close: () => Promise.resolve(),
    })
  ),
};
