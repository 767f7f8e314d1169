import { Buffer } from "node:buffer";
import { isObject, type JsonObject, type Limit, type WireClient } from "./wire_client.ts";

/** What a process printed, in the order of its sequence numbers, and how it ended. */
export interface Collected {
  stdout: string;
  stderr: string;
  pty: string;
  /** The same as bytes, for output that is not text. */
  bytes: { stdout: Buffer; stderr: Buffer; pty: Buffer };
  exitCode: number;
  /** The parameters of `process/exited`. */
  exited: JsonObject;
  /** Sequence numbers in the order of arrival. */
  seqs: number[];
  /** Decoded length of each chunk, in the order of arrival. */
  chunkSizes: number[];
}

/** Waits until the process is closed and every sequence number up to `closed` has arrived, then joins the output. */
export async function collectOutput(
  client: Pick<WireClient, "notifications" | "waitFor">,
  processId: string,
  options: Limit & { afterSeq?: number } = {},
): Promise<Collected> {
  const afterSeq = options.afterSeq ?? 0;
  const ours = () =>
    client.notifications.filter((n) => n.params["processId"] === processId && isProcessEvent(n.method));
  const seqOf = (params: JsonObject) => Number(params["seq"]);
  let arrived = 0, expected = Infinity;
  const complete = (message: JsonObject) => {
    const { method, params } = message;
    if (
      typeof method === "string" && isProcessEvent(method) && isObject(params) &&
      params["processId"] === processId
    ) {
      arrived++;
      if (method === "process/closed") expected = seqOf(params) - afterSeq;
    }
    return arrived >= expected; // notifications of the original may follow `closed`
  };
  await client.waitFor(complete, options).catch((error: unknown) => {
    const seen = ours().map((n) => `${n.method} ${seqOf(n.params)}`);
    throw new Error(`process ${processId} is not complete; the last events: ${seen.slice(-20).join(", ")}`, {
      cause: error,
    });
  });

  const events = ours().toSorted((a, b) => seqOf(a.params) - seqOf(b.params));
  events.forEach((event, i) => {
    if (seqOf(event.params) !== afterSeq + i + 1) {
      throw new Error(
        `process ${processId}: expected seq ${afterSeq + i + 1}, got ${
          seqOf(event.params)
        } (${event.method})`,
      );
    }
  });
  const last = events.at(-1);
  if (last?.method !== "process/closed") {
    throw new Error(`process ${processId}: ${last?.method} follows process/closed`);
  }
  const exits = events.filter((n) => n.method === "process/exited");
  const exited = exits[0];
  if (exited === undefined || exits.length > 1) {
    throw new Error(`process ${processId}: ${exits.length} times process/exited`);
  }

  const outputs = events.filter((n) => n.method === "process/output");
  const decode = (params: JsonObject) => Buffer.from(String(params["chunk"]), "base64");
  const joined = (stream: string) =>
    Buffer.concat(outputs.filter((n) => n.params["stream"] === stream).map((n) => decode(n.params)));
  const bytes = { stdout: joined("stdout"), stderr: joined("stderr"), pty: joined("pty") };
  return {
    stdout: bytes.stdout.toString(),
    stderr: bytes.stderr.toString(),
    pty: bytes.pty.toString(),
    bytes,
    exitCode: Number(exited.params["exitCode"]),
    exited: exited.params,
    seqs: ours().map((n) => seqOf(n.params)),
    chunkSizes: outputs.map((n) => decode(n.params).length),
  };
}

function isProcessEvent(method: string): boolean {
  return method === "process/output" || method === "process/exited" || method === "process/closed";
}
