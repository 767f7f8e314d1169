/** Requests that do next to nothing. */
import { overLibrary, overWire } from "../peers/servers.ts";
import { overWebSocket } from "../peers/websocket.ts";
import { medianOf, perSecond, type Workload } from "../workload.ts";

const ALONE = 300;
const TOGETHER = 3_200;
const IN_FLIGHT = 64;
const BURSTS = 20;

/** One request after another. */
export const roundTrip: Workload = {
  name: "round-trip",
  about:
    "`environment/status`, one request after another; of the library `processes.list()`, which is a `process/list`. The bare WebSocket echoes a text.",
  figures: [{ key: "time", title: "request round trip", unit: "ms" }],
  rounds: 10,
  limitMs: 30_000,
  contenders: {
    ...overWire(async (wire) => ({
      time: await medianOf(ALONE, () => wire.call("environment/status", {})),
    })),
    library: overLibrary(async (there) => ({ time: await medianOf(ALONE, () => there.processes.list()) })),
    websocket: overWebSocket(async (socket) => ({ time: await medianOf(ALONE, () => socket.ask("echo")) })),
  },
};

/** A stream of requests, 64 at a time. */
export const inFlight: Workload = {
  name: "in-flight",
  about: `The same requests, ${IN_FLIGHT} in flight: the next one goes out when an answer comes.`,
  figures: [{ key: "rate", title: `requests, ${IN_FLIGHT} in flight`, unit: "/s" }],
  rounds: 10,
  limitMs: 60_000,
  contenders: ratesOf((ask) => perSecond(TOGETHER, IN_FLIGHT, ask)),
};

/** Bursts of 64. */
export const burst: Workload = {
  name: "burst",
  about:
    `The same requests in bursts of ${IN_FLIGHT}: the next ones go out when all answers are there. The reference's ` +
    "last answers wait 40 ms for an acknowledgement of TCP (Nagle's algorithm).",
  figures: [{ key: "rate", title: `requests in bursts of ${IN_FLIGHT}`, unit: "/s", targets: { codex: 15 } }],
  rounds: 10,
  limitMs: 60_000,
  contenders: ratesOf((ask) =>
    perSecond(BURSTS, 1, () => Promise.all(Array.from({ length: IN_FLIGHT }, ask))).then((bursts) =>
      IN_FLIGHT * bursts
    )
  ),
};

/** Those who can answer, each measured in the same way. */
function ratesOf(measure: (ask: () => Promise<unknown>) => Promise<number>): Workload["contenders"] {
  return {
    ...overWire(async (wire) => ({ rate: await measure(() => wire.call("environment/status", {})) })),
    library: overLibrary(async (there) => ({ rate: await measure(() => there.processes.list()) })),
    websocket: overWebSocket(async (socket) => ({ rate: await measure(() => socket.ask("echo")) })),
  };
}
