/** Files of three sizes, whole, and the largest in blocks. */
import { Buffer } from "node:buffer";
import { randomBytes } from "node:crypto";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { eachTime, overLibrary, overWire } from "../peers/servers.ts";
import { overSftp } from "../peers/ssh_run.ts";
import type { Wire } from "../peers/wire.ts";
import { overWebSocket } from "../peers/websocket.ts";
import type { Environment } from "../../../mod.ts";
import { medianOf, perSecond, type Scene, timed, type Workload } from "../workload.ts";

const MIB = 2 ** 20;
/** The largest block that the wire allows. */
const BLOCK_BYTES = MIB;
/** Blocks that are asked for at a time. */
const BLOCKS_IN_FLIGHT = 4;
const SIZES = [
  { name: "4k", title: "4 KiB", bytes: 4096, count: 100, rounds: 8 },
  { name: "1m", title: "1 MiB", bytes: MIB, count: 10, rounds: 8 },
  { name: "64m", title: "64 MiB", bytes: 64 * MIB, count: 1, rounds: 5 },
] as const;
type Size = typeof SIZES[number];

/** A file of random bytes, made once. */
function fileOf(scene: Scene, { name, bytes }: Size): string {
  const path = join(scene.scratch, name);
  if (!existsSync(path)) writeFileSync(path, randomBytes(bytes));
  return path;
}

const target = (scene: Scene, { name }: Size) => join(scene.scratch, `${name}-written`);
const uri = (path: string) => pathToFileURL(path).href;
const contents = new Map<number, Buffer>();
const contentOf = (bytes: number) => {
  const content = contents.get(bytes) ?? randomBytes(bytes);
  contents.set(bytes, content);
  return content;
};

/** Fails when less than the whole file came. */
function whole(size: Size, bytes: number): void {
  if (bytes !== size.bytes) throw new Error(`${bytes} of ${size.bytes} bytes came`);
}

/** Our library reads what does not fit into a message as a stream. */
async function bytesRead(there: Environment, path: string, { bytes }: Size): Promise<number> {
  if (bytes <= MIB) return (await there.files.read(path)).length;
  let read = 0;
  for await (const block of there.files.readStream(path)) read += block.length;
  return read;
}

async function written(there: Environment, path: string, { bytes }: Size): Promise<void> {
  if (bytes <= MIB) return await there.files.write(path, contentOf(bytes));
  const writer = there.files.writeStream(path).getWriter();
  await writer.write(contentOf(bytes));
  await writer.close();
}

function reading(size: Size): Workload {
  return {
    name: `file-read-${size.name}`,
    about:
      `A file of ${size.title} with one \`fs/readFile\`, one after another (our library reads large ones in blocks); ` +
      "`get` of an open sftp; read(2); as many bytes in messages of a bare WebSocket.",
    figures: [{
      key: "time",
      title: `file read, ${size.title}`,
      unit: "ms",
      ...(size.bytes > MIB && { libraryTargets: { websocket: 1 / 2 } }),
    }],
    rounds: size.rounds,
    limitMs: 30_000,
    contenders: {
      ...overWire(async (wire, scene) => ({
        time: await medianOf(size.count, async () => {
          const { dataBase64 } = await wire.call("fs/readFile", { path: uri(fileOf(scene, size)) });
          whole(size, Buffer.from(String(dataBase64), "base64").length);
        }),
      })),
      library: overLibrary(async (there, scene) => ({
        time: await medianOf(size.count, async () => {
          whole(size, await bytesRead(there, fileOf(scene, size), size));
        }),
      })),
      ssh: (scene) =>
        overSftp(async (command) => ({
          time: await medianOf(size.count, () =>
            command(`get ${fileOf(scene, size)} ${join(scene.scratch, "got")}`)),
        }))(scene),
      bare: eachTime(async (scene) => ({
        time: 1000 * await scene.bare.seconds("read", fileOf(scene, size), size.count) / size.count,
      })),
      ...(size.bytes > MIB && {
        websocket: overWebSocket(async (socket) => ({
          time: await timed(() => socket.ask(`stream ${size.bytes}`)),
        })),
      }),
    },
  };
}

function writing(size: Size): Workload {
  return {
    name: `file-write-${size.name}`,
    about:
      `A file of ${size.title} with one \`fs/writeFile\`, over the one that is there; \`put\` of an open sftp; ` +
      "write(2). Ours replaces the file in one step, the others write into it.",
    figures: [{ key: "time", title: `file write, ${size.title}`, unit: "ms" }],
    rounds: size.rounds,
    limitMs: 30_000,
    contenders: {
      ...overWire(async (wire, scene) => ({
        time: await medianOf(size.count, () =>
          wire.call("fs/writeFile", {
            path: uri(target(scene, size)),
            dataBase64: contentOf(size.bytes).toString("base64"),
          })),
      })),
      library: overLibrary(async (there, scene) => ({
        time: await medianOf(size.count, () => written(there, target(scene, size), size)),
      })),
      ssh: (scene) =>
        overSftp(async (command) => ({
          time: await medianOf(
            size.count,
            () => command(`put ${fileOf(scene, size)} ${target(scene, size)}`),
          ),
        }))(scene),
      bare: eachTime(async (scene) => ({
        time: 1000 * await scene.bare.seconds("write", target(scene, size), size.bytes, size.count) /
          size.count,
      })),
    },
  };
}

let handles = 0;

/** Opens a handle, does something with each block of the file, several at a time, and closes it. */
async function inBlocks(
  wire: Wire,
  path: string,
  mode: "read" | "replace",
  size: Size,
  block: (handleId: string, offset: number) => Promise<unknown>,
): Promise<void> {
  const handleId = `bench-${++handles}`;
  await wire.call("fs/open", { handleId, path: uri(path), mode });
  let offset = 0;
  await perSecond(Math.ceil(size.bytes / BLOCK_BYTES), BLOCKS_IN_FLIGHT, () => {
    const at = offset;
    offset += BLOCK_BYTES;
    return block(handleId, at);
  });
  await wire.call("fs/close", { handleId });
}

function readingBlocks(size: Size): Workload {
  return {
    name: `file-read-${size.name}-blocks`,
    about: `The same file with \`fs/open\` and \`fs/readBlock\` of 1 MiB, ${BLOCKS_IN_FLIGHT} in flight.`,
    figures: [{ key: "time", title: `file read, ${size.title} in blocks`, unit: "ms" }],
    rounds: size.rounds,
    limitMs: 30_000,
    contenders: overWire(async (wire, scene) => ({
      time: await medianOf(size.count, async () => {
        let bytes = 0;
        await inBlocks(wire, fileOf(scene, size), "read", size, async (handleId, offset) => {
          const { chunk } = await wire.call("fs/readBlock", { handleId, offset, len: BLOCK_BYTES });
          bytes += Buffer.from(String(chunk), "base64").length;
        });
        whole(size, bytes);
      }),
    })),
  };
}

function writingBlocks(size: Size): Workload {
  return {
    name: `file-write-${size.name}-blocks`,
    about: `The same size with \`fs/open\` and \`fs/writeBlock\` of 1 MiB, ${BLOCKS_IN_FLIGHT} in flight.`,
    figures: [{ key: "time", title: `file write, ${size.title} in blocks`, unit: "ms" }],
    rounds: size.rounds,
    limitMs: 30_000,
    contenders: overWire(async (wire, scene) => ({
      time: await medianOf(
        size.count,
        () =>
          inBlocks(wire, target(scene, size), "replace", size, (handleId, offset) => {
            const chunk = contentOf(size.bytes).subarray(offset, offset + BLOCK_BYTES).toString("base64");
            return wire.call("fs/writeBlock", { handleId, offset, chunk });
          }),
      ),
    })),
  };
}

/** Reads and writes of each size. */
export const files: readonly Workload[] = [
  ...SIZES.map(reading),
  readingBlocks(SIZES[2]),
  ...SIZES.map(writing),
  writingBlocks(SIZES[2]),
];
