/** Input and output of processes on the wire: binary messages, or JSON with base64. */
import type * as v from "valibot";
import { ExecServerError } from "../protocol/error.ts";
import type { ProcessWrite } from "../protocol/process.ts";
import { Framed } from "../rpc/caller.ts";
import { fitsInFrame, type Frame, FrameKind } from "../rpc/frame.ts";
import { encodeBase64 } from "../protocol/base64.ts";
import type { OutputEvent } from "./output_log.ts";

const STREAMS = ["stdout", "stderr", "pty"] as const;
const WRITE_ID = /^[0-9a-f]{16}$/;

/** A `writeId` that both forms can carry: 64 random bits. */
export function newWriteId(): string {
  const [high = 0, low = 0] = crypto.getRandomValues(new Uint32Array(2));
  return high.toString(16).padStart(8, "0") + low.toString(16).padStart(8, "0");
}

/** The params of `process/write`, in the form that the connection speaks. @param writeId of {@link newWriteId} */
export function writeRequest(processId: string, bytes: Uint8Array, writeId: string) {
  const json = (): v.InferInput<typeof ProcessWrite.params> => ({
    processId,
    chunk: encodeBase64(bytes),
    writeId,
  });
  if (!WRITE_ID.test(writeId)) return json();
  const number = BigInt(`0x${writeId}`);
  return new Framed({ kind: FrameKind.write, flags: 0, number, name: processId, bytes }, json);
}

/** The same, as the server reads it. */
export function writeOfFrame({ name, number, bytes }: Frame): v.InferOutput<typeof ProcessWrite.params> {
  return { processId: name, chunk: bytes, writeId: number.toString(16).padStart(16, "0") };
}

/** Output as a binary message; undefined when the id is too long for one. */
export function outputFrame(processId: string, event: OutputEvent): Frame | undefined {
  if (!fitsInFrame(processId)) return undefined;
  return {
    kind: FrameKind.output,
    flags: STREAMS.indexOf(event.stream),
    id: 0,
    number: BigInt(event.seq),
    name: processId,
    bytes: event.bytes,
  };
}

/** The same, as the client reads it. @throws ExecServerError `PROTOCOL_VIOLATION` */
export function outputOfFrame(
  { kind, flags, number, name, bytes }: Frame,
): { processId: string; event: OutputEvent } {
  const stream = STREAMS[flags];
  const seq = Number(number);
  if (kind !== FrameKind.output || stream === undefined || seq < 1 || !Number.isSafeInteger(seq)) {
    throw new ExecServerError("PROTOCOL_VIOLATION", "malformed binary message");
  }
  return { processId: name, event: { type: "output", seq, stream, bytes } };
}
