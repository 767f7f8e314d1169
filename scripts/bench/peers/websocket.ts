/** A bare WebSocket of `ws` on loopback, between two processes: what a protocol over it cannot beat. */
import type { Buffer } from "node:buffer";
import { type ChildProcess, spawn } from "node:child_process";
import process from "node:process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { WebSocket } from "ws";
import { register } from "../../../tests/harness/program.ts";
import { within } from "../limit.ts";
import type { Open } from "../workload.ts";

/** Size of a binary message. */
export const MESSAGE_BYTES = 64 * 1024;
/** Messages that the socket may hold. */
const MAX_HELD = 16;
const START_LIMIT_MS = 15_000;

/** The client's end. */
export interface BareWebSocket {
  /** Sends a text and resolves with the answer; answers come in the order of the questions. */
  ask(text: string): Promise<string>;
  /** Sends so many bytes in binary messages; resolves when the server has them. */
  send(bytes: number): Promise<void>;
}

/** A contender over a bare WebSocket. */
export function overWebSocket(round: (socket: BareWebSocket) => Promise<Record<string, number>>): Open {
  return async () => {
    const program = fileURLToPath(new URL("websocket_server.ts", import.meta.url));
    const server = spawn(process.execPath, ["--import", "tsx", program], {
      stdio: ["pipe", "pipe", "inherit"],
      detached: true,
    });
    if (server.pid !== undefined) register(server.pid, server);
    const lines = createInterface(server.stdout);
    const port = await within(
      START_LIMIT_MS,
      "the bare WebSocket server",
      new Promise<string>((resolve) => lines.once("line", resolve)),
    );
    const socket = new WebSocket(`ws://127.0.0.1:${port}`, { perMessageDeflate: false });
    await new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject));
    const client = clientOf(socket);
    return {
      round: () => round(client),
      async close() {
        socket.terminate();
        await end(server);
      },
    };
  };
}

function clientOf(socket: WebSocket): BareWebSocket {
  const waiting: ((answer: string) => void)[] = [];
  socket.on("message", (data: Buffer, isBinary) => {
    if (!isBinary) waiting.shift()?.(data.toString());
  });
  const ask = (text: string) => {
    socket.send(text);
    return new Promise<string>((resolve) => waiting.push(resolve));
  };
  return {
    ask,
    async send(bytes) {
      const done = ask(`sink ${bytes}`);
      await sendBytes(socket, new Uint8Array(MESSAGE_BYTES), bytes);
      await done;
    },
  };
}

/** Sends so many bytes in messages of one block; waits where the socket holds too many. */
export async function sendBytes(socket: WebSocket, block: Uint8Array, bytes: number): Promise<void> {
  for (let left = bytes; left > 0; left -= block.length) {
    const sent = new Promise<void>((resolve) => socket.send(block, () => resolve()));
    if (socket.bufferedAmount > MAX_HELD * block.length) await sent;
  }
}

async function end(server: ChildProcess): Promise<void> {
  const ended = new Promise((resolve) => server.once("exit", resolve));
  server.kill("SIGKILL");
  await ended;
}
