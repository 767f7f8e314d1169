import { readFileSync } from "node:fs";
import * as v from "valibot";
import { replay } from "./replay.ts";
import type { TestServer } from "./server.ts";
import type { Recorded } from "./transcript.ts";
import type { JsonObject, WireClient } from "./wire_client.ts";

/** Makes the observation that a record holds in place of its messages. */
type Observe = (client: WireClient, record: Recorded, server: TestServer) => Promise<unknown[]>;

const AT_ONCE_MS = 250;
const POLL_MS = 2_000;
const Chunks = v.object({
  chunks: v.array(v.object({ seq: v.number(), stream: v.string(), chunk: v.string() })),
});
const OpenRequest = v.object({ params: v.object({ path: v.string() }) });
const bytesIn = (chunk: string) => atob(chunk).length;

/** Starts what the record starts, waits for its end, and reads as the record reads. */
async function startAndRead(client: WireClient, record: Recorded) {
  const [start, read] = v.parse(
    v.array(v.object({ params: v.record(v.string(), v.unknown()) })),
    record.send,
  );
  await client.call("process/start", start?.params);
  const collected = await client.collect(String(start?.params["processId"]));
  const result = read === undefined ? { chunks: [] } : await client.call("process/read", read.params);
  return { collected, result, chunks: v.parse(Chunks, result).chunks };
}

async function sleeper(client: WireClient, processId: string): Promise<void> {
  await client.startProcess(processId, ["/bin/sleep", "60"]);
}

/** Cases of which only an observation is recorded, or whose messages are not sent one after another. */
export const observed: Record<string, Observe> = {
  "process/read: retention keeps at most 1 MiB of the newest whole chunks": async (client, record) => {
    const { collected, chunks } = await startAndRead(client, record);
    const sizes = chunks.map((c) => bytesIn(c.chunk));
    const outputSeqs = client.notifications.filter((n) => n.method === "process/output").map((n) =>
      Number(n.params["seq"])
    );
    return [{
      $summary: {
        moreThan100Chunks: chunks.length > 100,
        noChunkAbove8192: Math.max(...sizes, ...collected.chunkSizes) <= 8192,
        firstSeqIsOne: chunks[0]?.seq === 1,
        withinOneMiB: sizes.reduce((a, b) => a + b, 0) <= 2 ** 20,
        lastChunkIsTheNewest: chunks.at(-1)?.seq === Math.max(...outputSeqs),
      },
    }];
  },
  "process/read: no sign of the lost part": async (client, record) => {
    const { chunks, result } = await startAndRead(client, record);
    return [{ $summary: { firstSeqAboveOne: (chunks[0]?.seq ?? 0) > 1, otherMembers: Object.keys(result) } }];
  },
  "process/output: chunk size limit": async (client, record) => {
    const { collected } = await startAndRead(client, record);
    return [{ $summary: { largest: Math.max(...collected.chunkSizes), total: collected.stdout.length } }];
  },
  "process/start: same processId in two connections is independent": async (client, record, server) => {
    const [start] = v.parse(v.array(v.object({ params: v.record(v.string(), v.unknown()) })), record.send);
    const other = await server.connect();
    const [result] = await Promise.all([other.call("process/start", start?.params), replay(client, record)]);
    await other.collect("p79");
    await other.terminate();
    const own = client.messages.map((r) => r.message).filter((m) => m["id"] !== 1);
    return [...own, { $otherConnection: { id: 2, result } }];
  },
  "ordering/long poll delays everything behind it": async (client, record) => {
    const answers = await replay(client, record, { pipelineFrom: 3 });
    const ids = v.parse(v.array(v.object({ id: v.number() })), answers).map((a) => a.id);
    return [...answers, { $statusWaitedForTheLongPoll: ids.indexOf(4) > ids.indexOf(3) }];
  },
  "ordering/answers keep the order of the requests": async (client) => {
    const from = client.messages.length;
    for (let id = 100; id < 120; id++) client.send({ id, method: "environment/status" });
    await client.waitFor(() => client.messages.length - from === 20);
    const ids = client.messages.slice(from).map((r) => Number(r.message["id"]));
    return [{ $inOrder: ids.every((id, i) => id === 100 + i) }];
  },
  "ordering/two connections do not delay each other": async (client, record, server) => {
    const other = await server.connect();
    const own = replay(client, record);
    await client.waitFor((m) => m["id"] === 2);
    const atOnce = await isAtOnce(() => other.call("environment/status"));
    const answers = await own;
    await other.terminate();
    return [...answers.slice(0, 1), { $otherConnectionAnsweredAtOnce: atOnce }, ...answers.slice(1)];
  },
  "ordering/more than 128 requests behind a long poll stop the notifications": async (client) => {
    await client.startProcess("quiet", ["/bin/sleep", "60"]);
    await client.startProcess("loud", ["/bin/sh", "-c", "sleep 0.5; echo x; exec sleep 60"]);
    client.send({ id: "poll", method: "process/read", params: { processId: "quiet", waitMs: POLL_MS } });
    const began = performance.now();
    for (let i = 0; i < 400; i++) client.send({ id: `s${i}`, method: "environment/status" });
    await client.waitFor((m) => m["method"] === "process/output"); // due after 500 ms
    return [{ $firstOutputWasHeldUntilTheLongPollEnded: performance.now() - began > POLL_MS * 0.9 }];
  },
  "ordering/a client that does not read stops the child, nothing is lost": async (client) => {
    await client.startProcess("big", ["/bin/sh", "-c", "dd if=/dev/zero bs=32768 count=1000 2>/dev/null"]);
    client.pause();
    await new Promise((ok) => setTimeout(ok, 1_200)); // the recorded pause: nothing can arrive that could be awaited
    client.resume();
    const { bytes } = await client.collect("big", { timeoutMs: 60_000 }); // which checks the sequence
    return [{ $bytes: bytes.stdout.length, $seqContiguous: true }];
  },
  "stream/128 handles per connection": async (client, record) => {
    const { path } = v.parse(OpenRequest, record.send[0]).params;
    for (let i = 0; i < 128; i++) {
      await client.call("fs/open", { handleId: `L${i}`, path });
    }
    return await replay(client, record);
  },
  "stream/write: replace truncates at open, blocks at any offset": async (client, record) => {
    const { path } = v.parse(OpenRequest, record.send[0]).params;
    const disk: unknown[] = [];
    const answers = await replay(client, record, {
      answered(index) {
        const content = readFileSync(new URL(path), "utf8");
        if (index === 0) disk.push({ $disk: { sizeAfterOpen: content.length } });
        if (index === 3) disk.push({ $disk: { contentBeforeClose: content } });
      },
    });
    return [...answers.slice(0, 1), disk[0], ...answers.slice(1, 4), disk[1], ...answers.slice(4)];
  },
  "concurrency 4/answers out of order": (client, record) => replay(client, record, { pipelineFrom: 3 }),
  "concurrency 4/four long polls fill the ordinary lane, the control lane stays free": async (client) => {
    await sleeper(client, "polled");
    await sleeper(client, "doomed");
    const requests: Record<string, JsonObject> = {
      "environment/info": {},
      "environment/status": {},
      "fs/close": { handleId: "none" },
      "fs/getMetadata": { path: "file:///" },
      "process/signal": { processId: "none", signal: "interrupt" },
      "process/start": { processId: "more", argv: ["/bin/true"], cwd: "file:///", env: {}, tty: false },
      "process/terminate": { processId: "doomed" },
      "process/write": { processId: "none", chunk: "", writeId: "1" },
    };
    for (let i = 0; i < 4; i++) {
      client.send({
        id: `poll ${i}`,
        method: "process/read",
        params: { processId: "polled", waitMs: 1_500 },
      });
    }
    const took = await Promise.all(
      Object.entries(requests).map(async ([method, params]) => {
        const atOnce = await isAtOnce(() => client.call(method, params).catch(() => {})); // an error is an answer
        return [method, atOnce ? "at once" : "waited"];
      }),
    );
    return [{ $took: Object.fromEntries(took) }];
  },
};

async function isAtOnce(act: () => Promise<unknown>): Promise<boolean> {
  const began = performance.now();
  await act();
  return performance.now() - began < AT_ONCE_MS;
}
