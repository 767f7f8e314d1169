// Replays what was recorded with the original server and compares the answers. With EXEC_SERVER_KIND=codex it runs
// against the original itself and so proves the replay; tests/fixtures/differences.ts does not count then.
import { randomUUID } from "node:crypto";
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  appliedDifferences,
  type Difference,
  differencesIn,
  isLeftOut,
  withDifferences,
} from "../fixtures/differences.ts";
import { mismatch } from "../harness/matches.ts";
import { replay, type ReplayHooks } from "../harness/replay.ts";
import { observed } from "../harness/replay_observed.ts";
import { replayHttp } from "../harness/replay_http.ts";
import { replaySession } from "../harness/replay_session.ts";
import { replayStartup } from "../harness/replay_startup.ts";
import { anyHost, onDisk, scratchFor, sorted, substitute } from "../harness/scratch.ts";
import { isCodex, startServer, type TestServer } from "../harness/server.ts";
import { loadTranscripts, type Recorded, startOf, viewOf } from "../harness/transcript.ts";
import { isObject, type WireClient } from "../harness/wire_client.ts";

const confirmed = new Set<Difference>();
const FRAGMENT = 8 * 2 ** 20;
/** As the original is when it is not told otherwise. */
const withoutAuth = isCodex ? [] : ["--ws-auth", "none", "--log-level", "error"];
let serial: TestServer, concurrent: TestServer;

test.before(async () => {
  const env = { TMPDIR: undefined }; // recorded without
  serial = await startServer({ env, args: withoutAuth });
  concurrent = await startServer({ env, args: ["--concurrent-requests", "4", ...withoutAuth] });
});
test.after(async () => {
  await Promise.all([serial?.stop(), concurrent?.stop()]);
});

for (const recorded of loadTranscripts()) {
  if (isLeftOut(recorded, isCodex)) continue;
  test(recorded.case, async () => {
    // The original has races of its own: `exited` may precede the last output and so shift the numbers.
    for (let again = isCodex ? 2 : 0; again > 0; again--) {
      if (await check(recorded).then(() => true, () => false)) return;
    }
    await check(recorded);
  });
}
test("every entry on the list of differences was met", () => {
  const needless = isCodex ? [] : appliedDifferences().filter((d) => !confirmed.has(d) && !agreesByChance(d));
  assert.equal(needless, []);
});
test.run();

/** Replays one case and compares; also checks that each listed difference is one. */
async function check(recorded: Recorded): Promise<void> {
  const W = scratchFor(recorded.case);
  const send = recorded.send.map((item) => substitute(item, { W, O: W, uuid: randomUUID() }));
  const real = (recv: unknown[]) => recv.map((item) => anyHost(substitute(item, { W, O: W })));
  const listed = isCodex ? [] : differencesIn(recorded);
  const ours = real(withDifferences(recorded, listed));
  const seen = [...await perform({ case: recorded.case, send, recv: ours }), ...onDisk(recorded.case, W)];
  assert.is(compare(ours, seen), undefined);
  for (const one of listed) {
    const rest = real(withDifferences(recorded, listed.filter((other) => other !== one)));
    if (compare(rest, seen) !== undefined) confirmed.add(one);
    else {assert.ok(
        "member" in one || agreesByChance(one),
        `as recorded, against the list of differences: ${one.why}`,
      );}
  }
}

function agreesByChance(difference: Difference): boolean {
  return "mayAgree" in difference && difference.mayAgree === true;
}

/** The first difference between two exchanges, in a fair comparison. */
function compare(recorded: unknown[], seen: unknown[]): string | undefined {
  const expected = viewOf(recorded);
  const actual = viewOf(seen.map(sorted));
  for (const [id, process] of Object.entries(expected.processes)) {
    const done = actual.processes[id];
    // The recording ended before this process did: what it did until then has to be there.
    if (process.closed === 0 && done !== undefined) actual.processes[id] = startOf(done, process);
  }
  for (const [id, process] of Object.entries(actual.processes)) {
    if (process.closed > 1) return `process ${id} was closed ${process.closed} times`;
  }
  return mismatch(expected, actual);
}

async function perform(record: Recorded): Promise<unknown[]> {
  if (record.case.startsWith("startup/")) return await replayStartup(record);
  if (record.case.startsWith("transport/")) return await replayHttp(serial.url, record);
  const server = record.case.startsWith("concurrency 4/") ? concurrent : serial;
  if (record.case.startsWith("session/")) return await replaySession(server, record);
  // A case that speaks of the handshake starts with id 1, unless the handshake was done before.
  const handshake = !record.case.startsWith("handshake/") ||
    !record.send.some((item) => isObject(item) && item["id"] === 1);
  const client = await server.connect({ handshake });
  try {
    return await (observed[record.case]?.(client, record, server) ??
      replay(client, record, { longText: longText(record) }));
  } finally {
    await endProcesses(client, record);
    await client.terminate();
  }
}

/** The texts of which only the length is recorded. */
function longText(record: Recorded): NonNullable<ReplayHooks["longText"]> {
  return (mask) => {
    const length = Number(/\d+/.exec(mask)?.[0]);
    const values = record.case.includes("JSON values");
    const [head, tail] = values
      ? ['{"id":7,"method":"environment/status","params":[', "]}"]
      : ['{"id":7,"method":"nope","params":"', '"}'];
    const room = length - head.length - tail.length;
    const text = head + (values ? "0" + ",0".repeat((room - 1) / 2) : "x".repeat(room)) + tail;
    if (text.length !== length) throw new Error(`made ${text.length} characters, not ${length}`);
    return record.case.includes("fragmented") ? { text, frameBytes: FRAGMENT } : { text };
  };
}

/** A session outlives its connection; its processes must not outlive the case. */
async function endProcesses(client: WireClient, record: Recorded): Promise<void> {
  const started = client.messages.flatMap(({ message: { result } }) =>
    isObject(result) ? result["processId"] : []
  );
  const ended = client.notifications.filter((n) => n.method === "process/closed").map((n) =>
    n.params["processId"]
  );
  if (started.length === 0 || record.recv.some((item) => isObject(item) && "$close" in item)) return;
  for (const processId of new Set(started)) {
    if (typeof processId === "string" && !ended.includes(processId)) {
      await client.call("process/terminate", { processId });
    }
  }
}
