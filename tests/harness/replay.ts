import { Buffer } from "node:buffer";
import { hasHappened, processIdOf, type Recorded, viewOf } from "./transcript.ts";
import { isObject, type JsonObject, type WireClient } from "./wire_client.ts";

const LIMIT_MS = 15_000;

/** What a case needs beside its messages. */
export interface ReplayHooks {
  /** The text for a recorded `<string of N characters>`. */
  longText?: (text: string) => { text: string; frameBytes?: number };
  /** Called when the answer to the request at this place of `send` has arrived. */
  answered?: (index: number) => void;
  /** Sends the requests from this id on without waiting for the answers before them. */
  pipelineFrom?: number;
}

/**
 * Sends what the record sends, each request when the answer before it and the events recorded before its own answer
 * have arrived (a long poll at once), and returns what came back, in the shape of a record's `recv`.
 */
export async function replay(
  client: WireClient,
  record: Recorded,
  hooks: ReplayHooks = {},
): Promise<unknown[]> {
  const from = client.messages.length;
  const started = new Set(startedBefore(record));
  const received = () => client.messages.slice(from).map((r) => r.message);
  const answered = () => received().filter(isAnswer).length;
  const happened = async (events: unknown[]) => {
    const expected = Object.entries(viewOf(events).processes).filter(([id]) => started.has(id));
    const all = () => {
      const seen = viewOf(received()).processes;
      return expected.every(([id, view]) => hasHappened(view, seen[id]));
    };
    await client.waitFor(all, { timeoutMs: LIMIT_MS }).catch((error: unknown) => {
      throw new Error(`waited for ${JSON.stringify(events)}, got ${JSON.stringify(received())}`, {
        cause: error,
      });
    });
  };

  let requests = 0;
  for (const [index, item] of record.send.entries()) {
    const waits = isObject(item) && isObject(item["params"]) && Number(item["params"]["waitMs"] ?? 0) > 0;
    const pipelined = isObject(item) && hooks.pipelineFrom !== undefined &&
      Number(item["id"]) >= hooks.pipelineFrom;
    const place = placeOfAnswer(record.recv, requests);
    if (from < client.messages.length && !waits && !pipelined) await happened(record.recv.slice(0, place));
    transmit(client, item, hooks);
    if (isObject(item) && item["method"] === "process/start") started.add(processIdOf(item) ?? "");
    if (!expectsAnswer(item) || place === record.recv.length) continue;
    requests++;
    const due = requests;
    if (!pipelined) await client.waitFor(() => answered() >= due, { timeoutMs: LIMIT_MS });
    hooks.answered?.(index);
  }
  const ends = record.recv.some((item) => isObject(item) && "$close" in item);
  if (ends) {
    const { code, reason } = await client.closed;
    return [...received(), reason === "" ? { $close: code } : { $close: code, reason }];
  }
  const due = requests;
  if (due > 0) await client.waitFor(() => answered() >= due, { timeoutMs: LIMIT_MS });
  if (received().length > 0) await happened(record.recv);
  return received();
}

/** The processes of the record that it does not start itself. */
function startedBefore(record: Recorded): string[] {
  const starts = record.send.map((item) =>
    isObject(item) && item["method"] === "process/start" ? processIdOf(item) : undefined
  );
  return Object.keys(viewOf(record.recv).processes).filter((id) => !starts.includes(id));
}

function isAnswer(message: JsonObject): boolean {
  return "id" in message && !("method" in message);
}

/** Everything is answered but a notification and what ends the connection. */
function expectsAnswer(item: unknown): boolean {
  if (!isObject(item) || "$text" in item || "$binary" in item) return true;
  return "method" in item && "id" in item;
}

function placeOfAnswer(recv: unknown[], n: number): number {
  let seen = 0;
  const place = recv.findIndex((item) => isObject(item) && isAnswer(item) && seen++ === n);
  return place < 0 ? recv.length : place;
}

function transmit(client: WireClient, item: unknown, hooks: ReplayHooks): void {
  const raw = isObject(item) ? item["$text"] : undefined;
  const binary = isObject(item) ? item["$binary"] : undefined;
  if (typeof binary === "string") {
    const [before = "", ...after] = binary.split("\ufffd"); // how the record shows a byte that is no UTF-8
    client.sendBinary(
      Buffer.concat([Buffer.from(before), ...after.flatMap((t) => [Buffer.from([0xff]), Buffer.from(t)])]),
    );
  } else if (typeof raw !== "string") {
    client.sendText(JSON.stringify(item));
  } else if (!raw.startsWith("<string of ")) {
    client.sendText(raw);
  } else {
    const long = hooks.longText?.(raw) ?? { text: raw };
    if (long.frameBytes === undefined) client.sendText(long.text);
    else client.sendFragments(long.text, long.frameBytes);
  }
}
