// Clients that take more than they should, without a library: they send what no library would, and do not read.
import { Buffer } from "node:buffer";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { Opcode, upgradeRequest } from "../harness/raw_socket.ts";

/** Connections that are opened at the same time. */
const BATCH = 50;
/** Between two bytes of a request that drips, in ms. */
const DRIP_MS = 500;
const MIB = 1024 * 1024;
const HANDSHAKE = [{ id: 1, method: "initialize", params: { clientName: "attack" } }, {
  method: "initialized",
  params: {},
}];

/** An attack that goes on until it is stopped. */
export interface Attack {
  /** How many of its connections the server has ended. */
  ended(): number;
  stop(): void;
}

/** A masked frame; the mask of zeros leaves the payload as it is. */
export function frame(opcode: number, payload: Uint8Array, fin = true): Buffer {
  const { length } = payload;
  const header = Buffer.alloc(length < 126 ? 6 : length < 65_536 ? 8 : 14);
  header[0] = (fin ? 0x80 : 0) | opcode;
  header[1] = 0x80 | (length < 126 ? length : length < 65_536 ? 126 : 127);
  if (length >= 65_536) header.writeBigUInt64BE(BigInt(length), 2);
  else if (length >= 126) header.writeUInt16BE(length, 2);
  return Buffer.concat([header, payload]);
}

/** A message as one frame. */
export function messageFrame(message: object): Buffer {
  return frame(Opcode.text, Buffer.from(JSON.stringify(message)));
}

/** A TCP connection, and nothing sent. */
export async function openTcp(url: string): Promise<Socket> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  socket.on("error", () => {}); // `close` follows
  await Promise.race([once(socket, "connect"), once(socket, "close")]);
  return socket;
}

/** The same after the upgrade, and after the handshake if it is wanted. Resolves when the server has answered. */
export async function openUpgraded(url: string, how: { initialize: boolean }): Promise<Socket> {
  const socket = await openTcp(url);
  const answered = once(socket, "data").then(([data]: Buffer[]) => data?.toString("latin1") ?? "");
  socket.write(upgradeRequest(url));
  const answer = await Promise.race([answered, once(socket, "close").then(() => "")]);
  if (/^HTTP\/1\.1 [34]/.test(answer)) throw new Error(`no attack: ${answer}`);
  if (!how.initialize) return socket.resume();
  const opened = once(socket, "data");
  for (const message of HANDSHAKE) socket.write(messageFrame(message));
  await Promise.race([opened, once(socket, "close")]);
  return socket.resume();
}

/** Writes the same bytes again and again, as fast as they are taken. Resolves at the end, or when nobody takes them. */
export async function sendRepeated(socket: Socket, bytes: Buffer, times: number): Promise<void> {
  const closed = once(socket, "close");
  for (let sent = 0; sent < times && !socket.destroyed; sent++) {
    if (!socket.write(bytes)) await Promise.race([once(socket, "drain"), closed]);
  }
}

async function crowd(count: number, open: () => Promise<Socket>): Promise<Attack> {
  const sockets: Socket[] = [];
  let ended = 0;
  while (sockets.length < count) {
    const batch = Array.from({ length: Math.min(BATCH, count - sockets.length) }, open);
    for (const socket of await Promise.all(batch)) {
      if (socket.destroyed) ended++;
      else socket.once("close", () => ended++);
      sockets.push(socket);
    }
  }
  return {
    ended: () => ended,
    stop() {
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** Clients that have said hello and nothing more. */
export function idleConnections(url: string, count: number): Promise<Attack> {
  return crowd(count, () => openUpgraded(url, { initialize: true }));
}

/** Connections without a complete request: half of them send nothing, half a byte now and then. */
export async function unfinishedRequests(url: string, count: number): Promise<Attack> {
  const dripping: Socket[] = [];
  let opened = 0;
  const attack = await crowd(count, async () => {
    const socket = await openTcp(url);
    if (opened++ % 2 === 0) return socket.resume();
    socket.write("GET / HTTP/1.1\r\nX-Drip: ");
    dripping.push(socket);
    return socket.resume();
  });
  const timer = setInterval(() => {
    for (const socket of dripping) if (socket.writable) socket.write("x");
  }, DRIP_MS);
  return {
    ended: attack.ended,
    stop() {
      clearInterval(timer);
      attack.stop();
    },
  };
}

/** Connections that are upgraded and never say `initialize`. */
export function silentConnections(url: string, count: number): Promise<Attack> {
  return crowd(count, () => openUpgraded(url, { initialize: false }));
}

/** One message in pieces, never complete. Resolves when all of it is sent, or the server has had enough. */
export async function endlessMessage(url: string, bytes: number, piece = 64 * 1024): Promise<Attack> {
  const socket = await openUpgraded(url, { initialize: true });
  const attack = attackOf([socket]);
  socket.write(frame(Opcode.text, Buffer.alloc(1, " "), false));
  const pieces = Math.max(1, Math.floor(MIB / (piece + 14)));
  const chunk = Buffer.concat(
    Array.from({ length: pieces }, () => frame(Opcode.continuation, Buffer.alloc(piece, " "), false)),
  );
  await sendRepeated(socket, chunk, Math.ceil(bytes / (pieces * Math.max(1, piece))));
  return attack;
}

/** Requests whose answers nobody reads. Resolves when they are on their way; the server may never take them all. */
export async function unreadRequests(url: string, count: number, request: object): Promise<Attack> {
  const socket = await openUpgraded(url, { initialize: true });
  socket.pause();
  const attack = attackOf([socket]);
  const hundred = Buffer.concat(
    Array.from({ length: 100 }, (_, index) => messageFrame({ id: `r${index}`, ...request })),
  );
  void sendRepeated(socket, hundred, count / 100);
  return attack;
}

/** Pings whose pongs nobody reads. Resolves when all are sent, or the server has had enough. */
export async function pingFlood(url: string, count: number): Promise<Attack> {
  const socket = await openUpgraded(url, { initialize: true });
  const attack = attackOf([socket]);
  const hundred = Buffer.concat(Array.from({ length: 100 }, () => frame(Opcode.ping, Buffer.alloc(125))));
  await sendRepeated(socket, hundred, count / 100);
  return attack;
}

function attackOf(sockets: readonly Socket[]): Attack {
  let ended = 0;
  for (const socket of sockets) socket.once("close", () => ended++);
  return {
    ended: () => ended,
    stop() {
      for (const socket of sockets) socket.destroy();
    },
  };
}
