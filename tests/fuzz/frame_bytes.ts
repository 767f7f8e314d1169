/** WebSocket frames as bytes, also those that no library would send (RFC 6455, section 5.2). */
import { Buffer } from "node:buffer";
import { Opcode } from "../harness/raw_socket.ts";

/** How a length is written: in 7 bits, in 16 or in 64. */
export type LengthForm = "short" | "medium" | "long";

/** One frame, with everything that can be wrong in it. */
export interface WrittenFrame {
  readonly fin: boolean;
  /** The three reserved bits, 0 to 7. */
  readonly reserved: number;
  readonly opcode: number;
  /** Four bytes as hex; without it the frame is not masked. */
  readonly mask: string | null;
  /** Bytes, as hex. */
  readonly payload: string;
  /** How often the payload is repeated. */
  readonly times: number;
  /** The length that the header tells; that of the payload without it. Decimal, up to 2^64 - 1. */
  readonly claimed: string | null;
  /** The shortest possible without it. */
  readonly form: LengthForm | null;
}

/** One frame with nothing wrong in it. */
export function wholeFrame(opcode: number, payload: Uint8Array): Buffer {
  return frameBytes({
    fin: true,
    reserved: 0,
    opcode,
    mask: "01020304",
    payload: Buffer.from(payload).toString("hex"),
    times: 1,
    claimed: null,
    form: null,
  });
}

/** A whole text message in one masked frame. */
export function textFrame(text: string): Buffer {
  return wholeFrame(Opcode.text, Buffer.from(text));
}

/** What a frame carries. */
export function payloadOf({ payload, times }: Pick<WrittenFrame, "payload" | "times">): Buffer {
  return Buffer.from(payload.repeat(times), "hex");
}

/** The bytes of a frame. */
export function frameBytes(frame: WrittenFrame): Buffer {
  const payload = payloadOf(frame);
  const length = frame.claimed === null ? BigInt(payload.length) : BigInt(frame.claimed);
  const form = frame.form ?? (length < 126n ? "short" : length < 65_536n ? "medium" : "long");
  const first = (frame.fin ? 0x80 : 0) | (frame.reserved << 4) | frame.opcode;
  const masked = frame.mask === null ? 0 : 0x80;
  const header = Buffer.alloc({ short: 2, medium: 4, long: 10 }[form]);
  header.writeUInt8(first, 0);
  if (form === "short") header.writeUInt8(masked | Number(length & 0x7fn), 1);
  if (form === "medium") {
    header.writeUInt8(masked | 126, 1);
    header.writeUInt16BE(Number(length & 0xffffn), 2);
  }
  if (form === "long") {
    header.writeUInt8(masked | 127, 1);
    header.writeBigUInt64BE(BigInt.asUintN(64, length), 2);
  }
  if (frame.mask === null) return Buffer.concat([header, payload]);
  const mask = Buffer.from(frame.mask, "hex");
  const hidden = payload.map((byte, index) => byte ^ (mask[index % 4] ?? 0));
  return Buffer.concat([header, mask, hidden]);
}
