/** What the client has of a command's output, as far as the wire can tell, across cuts of the connection. */
import { Buffer } from "node:buffer";
import * as v from "valibot";
import type { WireMessage } from "./wire_message.ts";

const Chunk = v.object({ seq: v.number(), stream: v.picklist(["stdout", "stderr"]), chunk: v.string() });
const ReadParams = v.object({ afterSeq: v.number() });
const ReadResult = v.object({ chunks: v.array(Chunk) });

/**
 * The output of the only command of a conversation, by sequence number: pushed, or read after a resume. What was
 * pushed on a connection that was cut counts only up to the number after which the client then reads.
 */
export function receivedOutput(messages: readonly WireMessage[], stream: "stdout" | "stderr"): Buffer {
  let before = new Map<number, v.InferOutput<typeof Chunk>>(); // from connections that are gone
  let now = new Map<number, v.InferOutput<typeof Chunk>>();
  for (const { method, params, result } of messages) {
    if (method === "initialize") {
      before = new Map([...before, ...now]);
      now = new Map();
    } else if (method === "process/read" && v.is(ReadParams, params)) {
      for (const seq of before.keys()) if (seq > params.afterSeq) before.delete(seq);
    }
    const chunks = v.is(ReadResult, result) ? result.chunks : method === "process/output" ? [params] : [];
    for (const chunk of chunks) if (v.is(Chunk, chunk)) now.set(chunk.seq, chunk);
  }
  return Buffer.concat(
    [...new Map([...before, ...now]).values()].toSorted((a, b) => a.seq - b.seq)
      .filter((chunk) => chunk.stream === stream)
      .map(({ chunk }) => Buffer.from(chunk, "base64")),
  );
}
