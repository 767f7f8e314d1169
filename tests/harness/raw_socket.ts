import { Buffer } from "node:buffer";
import { connect } from "node:net";

const LIMIT_MS = 20_000;
/** Frame types (RFC 6455, section 5.2). */
export const Opcode = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

/** One WebSocket frame. */
export interface Frame {
  fin: boolean;
  opcode: number;
  payload: Buffer;
}

/** A WebSocket without a library: it sends what no library would, and sees every frame. */
export interface RawSocket {
  /** Sends one masked frame; `claimed` is the length that its header tells, if not that of the payload. */
  sendFrame(frame: { opcode: number; fin?: boolean; payload: Uint8Array; claimed?: number }): void;
  /** The next frame; undefined when the connection is over. */
  nextFrame(): Promise<Frame | undefined>;
  /** The code and reason of the next close frame, with 1006 for an end without one. */
  closed(): Promise<{ code: number; reason: string }>;
  destroy(): void;
}

/** Something from the front of the received bytes, or how many it needs at least. */
export type Parsed<T> = { value: T; size: number } | { needed: number };

/** A complete upgrade, with the token of the URL. */
export function upgradeRequest(url: string): string {
  const { host, pathname, search } = new URL(url);
  return `GET ${pathname}${search} HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
}

/** Connects and upgrades. */
export async function openRaw(url: string): Promise<RawSocket> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  let received: Buffer[] = [];
  let receivedBytes = 0;
  let over = false;
  let wake = () => {};
  socket.on("data", (data: Buffer) => {
    received.push(data);
    receivedBytes += data.length;
    wake();
  });
  socket.on("error", () => {}); // `close` follows
  socket.on("close", () => {
    over = true;
    wake();
  });
  const timer = setTimeout(() => socket.destroy(), LIMIT_MS);
  socket.on("close", () => clearTimeout(timer));
  /** Takes something from the front of what was received, as soon as it is complete. */
  const take = async <T>(parse: (bytes: Buffer) => Parsed<T>) => {
    for (let needed = 1;;) {
      if (receivedBytes >= needed) {
        const bytes = Buffer.concat(received);
        const parsed = parse(bytes);
        if ("value" in parsed) {
          received = [bytes.subarray(parsed.size)];
          receivedBytes -= parsed.size;
          return parsed.value;
        }
        received = [bytes];
        needed = parsed.needed;
        continue;
      }
      if (over) return undefined;
      await new Promise<void>((ok) => wake = ok);
    }
  };

  socket.write(upgradeRequest(url));
  const head = await take((bytes) => {
    const end = bytes.indexOf("\r\n\r\n");
    return end < 0
      ? { needed: bytes.length + 1 }
      : { value: bytes.subarray(0, end).toString(), size: end + 4 };
  });
  if (head?.startsWith("HTTP/1.1 101 ") !== true) throw new Error(`no upgrade: ${head}`);
  const nextFrame = () => take(parseFrame);
  return {
    sendFrame({ opcode, fin = true, payload, claimed = payload.length }) {
      const header = Buffer.alloc(14); // a mask of zeros leaves the payload as it is
      header.writeUInt8((fin ? 0x80 : 0) | opcode, 0);
      header.writeUInt8(0x80 | 127, 1);
      header.writeBigUInt64BE(BigInt(claimed), 2);
      socket.write(short(header, payload.length, opcode));
      socket.write(payload);
    },
    nextFrame,
    async closed() {
      for (let frame = await nextFrame(); frame; frame = await nextFrame()) {
        if (frame.opcode !== Opcode.close) continue;
        const code = frame.payload.length < 2 ? 1005 : frame.payload.readUInt16BE(0);
        return { code, reason: frame.payload.subarray(2).toString() };
      }
      return { code: 1006, reason: "" };
    },
    destroy: () => void socket.destroy(),
  };
}

/** Control frames must tell their length in seven bits. */
function short(header: Buffer, length: number, opcode: number): Buffer {
  if (opcode < Opcode.close) return header;
  return Buffer.concat([header.subarray(0, 1), Buffer.from([0x80 | length, 0, 0, 0, 0])]);
}

/** The frame at the front of some bytes. */
export function parseFrame(bytes: Buffer): Parsed<Frame> {
  if (bytes.length < 2) return { needed: 2 };
  const first = bytes.readUInt8(0), seven = bytes.readUInt8(1) & 0x7f;
  const offset = seven === 127 ? 10 : seven === 126 ? 4 : 2;
  if (bytes.length < offset) return { needed: offset };
  const length = seven === 127
    ? Number(bytes.readBigUInt64BE(2))
    : seven === 126
    ? bytes.readUInt16BE(2)
    : seven;
  const size = offset + length;
  if (bytes.length < size) return { needed: size };
  return {
    value: { fin: (first & 0x80) !== 0, opcode: first & 0x0f, payload: bytes.subarray(offset, size) },
    size,
  };
}
