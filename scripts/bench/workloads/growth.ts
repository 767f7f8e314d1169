/** What a server costs that has much to keep: 1 to 1,000 processes, 1 to 1,000 connections. */
import type { TestServer } from "../../../tests/harness/server.ts";
import { memoryOf } from "../../../tests/harness/proc.ts";
import { eachServer, startKind } from "../peers/servers.ts";
import { openWire, type Wire } from "../peers/wire.ts";
import { type Figure, medianOf, perSecond, type Scene, type Workload } from "../workload.ts";

const STEPS = [1, 10, 100, 1_000];
const QUICK_STEPS = [1, 10, 100];
/** Starts and connections that are under way at a time. */
const AT_ONCE = 16;
const REQUESTS = 100;
const STARTS = 10;
const KIB_PER_MIB = 1024;

/** Adds one thing to a server that it keeps from now on; what is returned is ended at last. */
type Add = (wire: Wire, server: TestServer) => Promise<Wire | undefined>;

function growing(what: string, one: string, about: string, add: Add): Workload {
  const figures = STEPS.flatMap((x): Figure[] => [
    { key: `memory ${x}`, title: `memory, ${x} ${what}`, unit: "MiB", x },
    { key: `round trip ${x}`, title: `request round trip, ${x} ${what}`, unit: "ms", x },
    { key: `start ${x}`, title: `start to closed, ${x} ${what}`, unit: "ms", x },
  ]);
  const round = async (server: TestServer, scene: Scene) => {
    const steps = scene.pick(STEPS, QUICK_STEPS);
    const measured: Record<string, number> = {};
    const open: Wire[] = [];
    try {
      const wire = await openWire(server.url);
      open.push(wire);
      let there = 0;
      for (const x of steps) {
        await perSecond(x - there, Math.min(AT_ONCE, x - there), async () => {
          const more = await add(wire, server);
          if (more) open.push(more);
        });
        there = x;
        measured[`memory ${x}`] = memoryOf(server.pid);
        measured[`round trip ${x}`] = await medianOf(REQUESTS, () => wire.call("environment/status", {}));
        measured[`start ${x}`] = await medianOf(STARTS, () => wire.run(["/bin/true"]));
      }
      const [first = NaN, last = NaN] = [steps[0], steps.at(-1)].map((x) => measured[`memory ${x}`]);
      measured["peak"] = memoryOf(server.pid, "VmHWM");
      measured["each"] = KIB_PER_MIB * (last - first) / (there - 1);
      return measured;
    } finally {
      await Promise.all(open.map((wire) => wire.end()));
    }
  };
  return {
    name: `grow-${what}`,
    about,
    figures: [
      { key: "each", title: `memory for each ${one}`, unit: "KiB" },
      { key: "peak", title: `peak memory, growing ${what}`, unit: "MiB" },
      ...figures,
    ],
    rounds: 3,
    limitMs: 120_000,
    contenders: eachServer((kind) => (scene) =>
      Promise.resolve({
        async round() {
          const server = await startKind(kind, scene); // a fresh one: memory does not shrink again
          try {
            return await round(server, scene);
          } finally {
            await server.stop();
          }
        },
        close: () => Promise.resolve(),
      })
    ),
  };
}

/** Running processes, and open connections. */
export const growth: readonly Workload[] = [
  growing(
    "processes",
    "process",
    "A server with 1 to 1,000 running `sleep` (100 in a quick run) of one connection: its memory, a request and a start.",
    async (wire) => void await wire.start(["sleep", "600"]),
  ),
  growing(
    "connections",
    "connection",
    "The same with 1 to 1,000 connections that do nothing.",
    (_wire, server) => openWire(server.url),
  ),
];
