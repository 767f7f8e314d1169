/** Bytes in bulk: out of a process, line by line, and into one. */
import { eachTime, overLibrary, overWire } from "../peers/servers.ts";
import { sshFeed, sshRun } from "../peers/ssh_run.ts";
import { overWebSocket } from "../peers/websocket.ts";
import type { Process } from "../../../mod.ts";
import { type Measured, type Scene, sshOf, timed, type Workload } from "../workload.ts";

const MIB = 2 ** 20;
const LINES = 200_000;

const outputBytes = (scene: Scene) => scene.pick(1024 * MIB, 64 * MIB);
const inputBytes = (scene: Scene) => scene.pick(256 * MIB, 16 * MIB);
const zeros = (scene: Scene) => ["head", "-c", String(outputBytes(scene)), "/dev/zero"];
const sink = (scene: Scene) => ["head", "-c", String(inputBytes(scene))]; // ends by itself when it has all
const quiet = (argv: readonly string[]) => ["/bin/sh", "-c", `exec ${argv.join(" ")} > /dev/null`];

/** MB/s, once all of it has come. */
async function rate(bytes: number, work: () => Promise<number>): Promise<Measured> {
  let came = 0;
  const ms = await timed(async () => came = await work());
  if (came !== bytes) throw new Error(`${came} of ${bytes} bytes came`);
  return { rate: bytes / 1e3 / ms };
}

async function read(process: Process): Promise<number> {
  let bytes = 0;
  for await (const chunk of process.stdout) bytes += chunk.length;
  return bytes;
}

/** One GiB out of one process. */
export const output: Workload = {
  name: "output",
  about:
    "`head -c 1G /dev/zero`, from the start to the last byte (64 MiB in a quick run), as base64 in JSON. The bare " +
    "WebSocket sends binary messages of 64 KiB, the bare pipe is read 64 KiB at a time.",
  figures: [{
    key: "rate",
    title: "output stream",
    unit: "MB/s",
    targets: { codex: 1.5 },
    libraryTargets: { codex: 4, websocket: 1 / 2 },
  }],
  rounds: 5,
  limitMs: 120_000,
  contenders: {
    ...overWire((wire, scene) => rate(outputBytes(scene), () => wire.run(zeros(scene)))),
    library: overLibrary((there, scene) =>
      rate(outputBytes(scene), async () => read(await there.processes.start({ argv: zeros(scene) })))
    ),
    ssh: eachTime((scene) => rate(outputBytes(scene), () => sshRun(sshOf(scene), zeros(scene)))),
    bare: eachTime(async (scene) => ({
      rate: outputBytes(scene) / 1e6 / await scene.bare.seconds("drain", ...zeros(scene)),
    })),
    websocket: (scene) =>
      overWebSocket((socket) =>
        rate(outputBytes(scene), async () => {
          await socket.ask(`stream ${outputBytes(scene)}`);
          return outputBytes(scene);
        })
      )(scene),
  },
};

const loop = ["/bin/sh", "-c", `i=0; while [ $i -lt ${LINES} ]; do echo $i; i=$((i+1)); done`];

/** Small writes, a line each. */
export const lines: Workload = {
  name: "lines",
  about: `A shell loop that prints ${LINES / 1000},000 numbers with one write each.`,
  figures: [{ key: "rate", title: "small lines", unit: "/s" }],
  rounds: 5,
  limitMs: 120_000,
  contenders: {
    ...overWire(async (wire) => linesPerSecond(await timed(() => wire.run(loop)))),
    library: overLibrary(async (there) =>
      linesPerSecond(await timed(async () => read(await there.processes.start({ argv: loop }))))
    ),
    ssh: eachTime(async (scene) =>
      linesPerSecond(await timed(() => sshRun(sshOf(scene), ["sh", "-c", `'${loop[2]}'`])))
    ),
    bare: eachTime(async ({ bare }) => linesPerSecond(1000 * await bare.seconds("drain", ...loop))),
  },
};

function linesPerSecond(ms: number): Measured {
  return { rate: LINES / (ms / 1000) };
}

/** Into one process. */
export const input: Workload = {
  name: "stdin",
  about:
    "256 MiB (16 MiB in a quick run) to `head -c`, until it has read all and has ended; pieces of 64 KiB, 16 of " +
    "them in flight.",
  figures: [{ key: "rate", title: "standard input", unit: "MB/s" }],
  rounds: 5,
  limitMs: 120_000,
  contenders: {
    ...overWire((wire, scene) =>
      rate(inputBytes(scene), async () => {
        let over: () => void = () => {};
        const closed = new Promise<void>((resolve) => over = resolve);
        const id = await wire.start(quiet(sink(scene)), { pipeStdin: true }, ({ type }) => {
          if (type === "closed") over();
        });
        await wire.feed(id, inputBytes(scene));
        await closed;
        return inputBytes(scene);
      })
    ),
    library: overLibrary((there, scene) =>
      rate(inputBytes(scene), async () => {
        const process = await there.processes.start({ argv: quiet(sink(scene)), pipeStdin: true });
        const writer = process.stdin.getWriter();
        const block = new Uint8Array(64 * 1024);
        for (let left = inputBytes(scene); left > 0; left -= block.length) await writer.write(block);
        await process.wait();
        return inputBytes(scene);
      })
    ),
    ssh: eachTime((scene) =>
      rate(inputBytes(scene), async () => {
        await sshFeed(
          sshOf(scene),
          ["sh", "-c", `'exec ${sink(scene).join(" ")} > /dev/null'`],
          inputBytes(scene),
        );
        return inputBytes(scene);
      })
    ),
    bare: eachTime(async (scene) => ({
      rate: inputBytes(scene) / 1e6 /
        await scene.bare.seconds("feed", inputBytes(scene), ...quiet(sink(scene))),
    })),
    websocket: (scene) =>
      overWebSocket((socket) =>
        rate(inputBytes(scene), async () => {
          await socket.send(inputBytes(scene));
          return inputBytes(scene);
        })
      )(scene),
  },
};
