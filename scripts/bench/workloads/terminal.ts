/** How long a key takes to a terminal there and its echo back. */
import { Buffer } from "node:buffer";
import { overLibrary, overWire } from "../peers/servers.ts";
import { succeeded } from "../peers/ssh_run.ts";
import type { Wire } from "../peers/wire.ts";
import { quantile } from "../statistics.ts";
import { medianOf, type Open, sshOf, timed, type Workload } from "../workload.ts";

const KEYS = 40;
const BARE_KEYS = 1_000;
const KEY = Buffer.from("x");
const TYPISTS = 20;
/** What has come of a flood before the keys begin: buffers are full then. */
const FLOOD_BYTES = 32 * 2 ** 20;

interface Typist {
  /** Types a key and waits for its echo. */
  type(): Promise<void>;
  /** Ends the program in the terminal. */
  end(): Promise<unknown>;
}

async function typistOver(wire: Wire): Promise<Typist> {
  const echoed = new Turn();
  const processId = await wire.start(["cat"], { tty: true }, (event) => {
    if (event.type === "output") echoed.come();
  });
  let writes = 0;
  return {
    async type() {
      const echo = echoed.next();
      const chunk = KEY.toString("base64");
      await Promise.all([wire.call("process/write", { processId, chunk, writeId: String(++writes) }), echo]);
    },
    end: () => wire.call("process/terminate", { processId }),
  };
}

/** Something that comes again and again; one waits for the next time. */
class Turn {
  #wake: () => void = () => {};
  next(): Promise<void> {
    return new Promise((resolve) => this.#wake = resolve);
  }
  come(): void {
    this.#wake();
  }
}

/** A key of one terminal, nothing else going on. */
export const ptyEcho: Workload = {
  name: "pty-echo",
  about:
    "A key to `cat` in a terminal and its echo back, one after another; `ssh -tt cat`; the two system calls.",
  figures: [{ key: "time", title: "terminal, key to echo", unit: "ms", targets: { codex: 40 } }],
  rounds: 10,
  limitMs: 30_000,
  contenders: {
    ...overWire(async (wire) => {
      const typist = await typistOver(wire);
      const time = await medianOf(KEYS, () => typist.type());
      await typist.end();
      return { time };
    }),
    library: overLibrary(async (there) => {
      const process = await there.processes.start({ argv: ["cat"], tty: true });
      const echoes = process.stdout.getReader();
      const keys = process.stdin.getWriter();
      const time = await medianOf(KEYS, () => Promise.all([keys.write(KEY), echoes.read()]));
      await process.terminate();
      return { time };
    }),
    ssh: sshTypist(),
    bare: (scene) =>
      Promise.resolve({
        round: async () => ({ time: 1000 * await scene.bare.seconds("pty", BARE_KEYS) / BARE_KEYS }),
        close: () => Promise.resolve(),
      }),
  },
};

function sshTypist(): Open {
  return async (scene) => {
    const child = sshOf(scene).spawn(["-tt"], ["cat"], { stdio: ["pipe", "pipe", "ignore"] });
    const ended = succeeded(child).catch(() => {}); // it is killed
    const echoed = new Turn();
    child.stdout?.on("data", () => echoed.come());
    const type = async () => {
      const echo = echoed.next();
      child.stdin?.write(KEY);
      await echo;
    };
    await Promise.race([type(), ended]);
    return {
      round: async () => ({ time: await medianOf(KEYS, type) }),
      async close() {
        child.kill("SIGKILL");
        await ended;
      },
    };
  };
}

/** Keys of many terminals while a neighbour on the same connection prints as fast as it can. */
export const ptyFlooded: Workload = {
  name: "pty-flooded",
  about:
    `${TYPISTS} terminals of one connection, a key each in turn, while another process of it prints without end.`,
  figures: [
    { key: "median", title: "key to echo beside a flood, median", unit: "ms" },
    { key: "p99", title: "key to echo beside a flood, p99", unit: "ms" },
  ],
  rounds: 3,
  limitMs: 60_000,
  contenders: overWire(async (wire) => {
    const typists = await Promise.all(Array.from({ length: TYPISTS }, () => typistOver(wire)));
    const flooding = new Turn();
    const flooded = flooding.next();
    let bytes = 0;
    const flood = await wire.start(["cat", "/dev/zero"], {}, (event) => {
      bytes += event.bytes.length;
      if (bytes >= FLOOD_BYTES) flooding.come();
    });
    await flooded;
    const times: number[] = [];
    for (let key = 0; key < 5; key++) {
      for (const typist of typists) times.push(await timed(() => typist.type()));
    }
    await wire.call("process/terminate", { processId: flood });
    await Promise.all(typists.map((typist) => typist.end()));
    return { median: quantile(times, 0.5), p99: quantile(times, 0.99) };
  }),
};
