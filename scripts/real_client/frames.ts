/** Reads the messages out of one direction of a WebSocket connection (RFC 6455) without taking part in it. */
import { Buffer } from "node:buffer";

const OPCODE = { continuation: 0, text: 1 } as const;

/** Feeds on the bytes of one direction, the HTTP head included; calls back with each complete text message. */
export function messageReader(message: (text: string) => void): (bytes: Buffer) => void {
  let pending: Buffer = Buffer.alloc(0);
  let parts: Buffer[] = [];
  let inHead = true;

  const takeHead = (): boolean => {
    const end = pending.indexOf("\r\n\r\n");
    if (end < 0) return false;
    pending = pending.subarray(end + 4);
    inHead = false;
    return true;
  };

  const takeFrame = (): boolean => {
    const frame = readFrame(pending);
    if (!frame) return false;
    pending = pending.subarray(frame.size);
    if (frame.opcode !== OPCODE.continuation && frame.opcode !== OPCODE.text) return true;
    parts.push(frame.payload);
    if (!frame.isFinal) return true;
    const text = Buffer.concat(parts).toString("utf8");
    parts = [];
    message(text);
    return true;
  };

  return (bytes) => {
    pending = pending.length === 0 ? bytes : Buffer.concat([pending, bytes]);
    while (inHead ? takeHead() : takeFrame());
  };
}

interface Frame {
  /** With its header. */
  readonly size: number;
  readonly opcode: number;
  readonly isFinal: boolean;
  readonly payload: Buffer;
}

/** The first frame, when all of it is there. */
function readFrame(bytes: Buffer): Frame | undefined {
  if (bytes.length < 2) return undefined;
  const first = bytes.readUInt8(0), second = bytes.readUInt8(1);
  const short = second & 0x7f;
  const lengthBytes = short === 126 ? 2 : short === 127 ? 8 : 0;
  const maskBytes = second & 0x80 ? 4 : 0;
  const header = 2 + lengthBytes + maskBytes;
  if (bytes.length < header) return undefined;
  const length = short === 126
    ? bytes.readUInt16BE(2)
    : short === 127
    ? Number(bytes.readBigUInt64BE(2))
    : short;
  if (bytes.length < header + length) return undefined;
  const mask = bytes.subarray(header - maskBytes, header);
  const masked = bytes.subarray(header, header + length);
  const payload = maskBytes === 0 ? masked : masked.map((byte, i) => byte ^ (mask[i % 4] ?? 0));
  return {
    size: header + length,
    opcode: first & 0x0f,
    isFinal: (first & 0x80) !== 0,
    payload: Buffer.from(payload),
  };
}
