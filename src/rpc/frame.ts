/**
 * Binary messages: bytes as they are, behind a header of 16 bytes, where JSON would need base64. Version 1:
 *
 * | bytes | what                                                    |
 * | ----- | ------------------------------------------------------- |
 * | 0     | kind                                                    |
 * | 1     | flags                                                   |
 * | 2–3   | length of the name in bytes                             |
 * | 4–7   | id of the request; 0 in a notification                  |
 * | 8–15  | a number                                                |
 * | 16–   | the name (UTF-8), then the bytes to the end of the message |
 *
 * Numbers are unsigned and big-endian (network byte order). No JSON text begins with a byte below 9 (RFC 8259).
 */
import { Buffer } from "node:buffer";
import { bufferView } from "../protocol/buffer_view.ts";

/** The version of this format, for `initialize`. */
export const FRAME_VERSION = 1;

/** What a binary message is. */
export const FrameKind = {
  /** `process/output`, from the server. Flags: 0 stdout, 1 stderr, 2 terminal. Number: `seq`. Name: `processId`. */
  output: 1,
  /** `process/write`, from the client. Number: the `writeId`, as 16 hexadecimal digits. Name: `processId`. */
  write: 2,
  /** The answer to `fs/readBlock`. Flags: 1 for `eof`. No number, no name. */
  block: 3,
  /** `fs/writeBlock`, from the client. Number: `offset`. Name: `handleId`. */
  writeBlock: 4,
} as const;

/** One binary message, taken apart. */
export interface Frame {
  readonly kind: number;
  /** 0 to 255. */
  readonly flags: number;
  /** Unsigned, 32 bits. */
  readonly id: number;
  /** Unsigned, 64 bits. */
  readonly number: bigint;
  /** At most 65,535 bytes of UTF-8. */
  readonly name: string;
  /** A view of the message: valid as long as its memory is. */
  readonly bytes: Uint8Array;
}

const HEADER_BYTES = 16;
const MAX_NAME_BYTES = 0xffff;
/** Kinds are below the first byte of any JSON text: a tab. */
const FIRST_JSON_BYTE = 9;

/** True for a message that is no JSON. */
export function isFrame(message: Uint8Array): boolean {
  const kind = message[0] ?? 0; // no destructuring: that would walk the bytes
  return kind > 0 && kind < FIRST_JSON_BYTE;
}

/** True when a name fits into a header. */
export function fitsInFrame(name: string): boolean {
  return name.length * 3 <= MAX_NAME_BYTES || Buffer.byteLength(name) <= MAX_NAME_BYTES;
}

/** True for the id of a request that fits into a header; others are answered in JSON. */
export function isFrameId(id: unknown): id is number {
  return typeof id === "number" && id >= 0 && id <= 0xffffffff;
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Takes a message apart. @throws SyntaxError when it is cut short, or the name is not UTF-8 */
export function parseFrame(message: Uint8Array): Frame {
  const buffer = bufferView(message);
  const nameBytes = buffer.length < HEADER_BYTES ? 0 : buffer.readUInt16BE(2);
  if (buffer.length < HEADER_BYTES + nameBytes) throw new SyntaxError("a binary message that is cut short");
  let name: string;
  try {
    name = utf8.decode(buffer.subarray(HEADER_BYTES, HEADER_BYTES + nameBytes));
  } catch {
    throw new SyntaxError("a binary message whose name is not UTF-8");
  }
  return {
    kind: buffer.readUInt8(0),
    flags: buffer.readUInt8(1),
    id: buffer.readUInt32BE(4),
    number: buffer.readBigUInt64BE(8),
    name,
    bytes: buffer.subarray(HEADER_BYTES + nameBytes),
  };
}

/** The size of a message. */
export function frameLength(frame: Frame): number {
  return HEADER_BYTES + Buffer.byteLength(frame.name) + frame.bytes.length;
}

/** Puts a message together; the bytes are copied. */
export function frameBytes(frame: Frame): Buffer {
  return frameInto(Buffer.allocUnsafe(frameLength(frame)), frame);
}

/** The same in memory that is there, which must be long enough; returns the part that the message takes. */
export function frameInto(memory: Buffer, frame: Frame): Buffer {
  const nameBytes = Buffer.byteLength(frame.name);
  const buffer = memory.subarray(0, HEADER_BYTES + nameBytes + frame.bytes.length);
  buffer.writeUInt8(frame.kind, 0);
  buffer.writeUInt8(frame.flags, 1);
  buffer.writeUInt16BE(nameBytes, 2);
  buffer.writeUInt32BE(frame.id, 4);
  buffer.writeBigUInt64BE(frame.number, 8);
  buffer.write(frame.name, HEADER_BYTES, "utf8");
  buffer.set(frame.bytes, HEADER_BYTES + nameBytes);
  return buffer;
}
