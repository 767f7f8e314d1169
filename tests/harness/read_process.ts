import { Buffer } from "node:buffer";
import type { Process, ProcessEvent } from "../../src/process/trait.ts";

/** Everything a stream gives. */
export async function readAll(stream: ReadableStream<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** Everything a stream gives, as text. */
export async function readText(stream: ReadableStream<Uint8Array>): Promise<string> {
  return (await readAll(stream)).toString();
}

/** Everything that happens to a process. */
export async function readEvents(process: Process): Promise<ProcessEvent[]> {
  const events: ProcessEvent[] = [];
  for await (const event of process.events()) events.push(event);
  return events;
}

/** Reads lines from one reader of a stream, as they come. */
export function lineReader(stream: ReadableStream<Uint8Array>): () => Promise<string> {
  const chunks = stream[Symbol.asyncIterator]();
  const decoder = new TextDecoder();
  let text = "";
  return async () => {
    for (;;) {
      const end = text.indexOf("\n");
      if (end >= 0) {
        const line = text.slice(0, end);
        text = text.slice(end + 1);
        return line;
      }
      const { done, value } = await chunks.next();
      if (done) throw new Error(`the stream ended after ${JSON.stringify(text)}`);
      text += decoder.decode(value, { stream: true });
    }
  };
}
