// process/* as it looks on the wire: which message comes before which, and what one request does to the others. What
// the original server does is also replayed from records in transcripts.test.ts.
import { Buffer } from "node:buffer";
import { execFileSync } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { connected } from "../harness/connected.ts";
import { childrenOf, groupMembers, isRunning, until } from "../harness/proc.ts";
import type { TestServer } from "../harness/server.ts";
import { tempDir } from "../harness/temp.ts";
import { isObject, type JsonObject, refusal, type WireClient, WireError } from "../harness/wire_client.ts";

const LONG_MS = 60_000;
const UNKNOWN = "00000000-0000-4000-8000-000000000000";

let server: TestServer;
let client: WireClient;

connected((c, s) => {
  client = c;
  server = s;
});

const base64 = (text: string) => Buffer.from(text).toString("base64");
const sh = (script: string) => ["/bin/sh", "-c", script];
const write = (processId: string, text: string, writeId: string) =>
  client.call("process/write", { processId, chunk: base64(text), writeId });

/** A process in a terminal, named `t`. */
async function terminal(argv: string[]) {
  await client.startProcess("t", argv, { tty: true });
  return {
    close: (more: JsonObject = {}) => client.call("process/closeStdin", { processId: "t", ...more }),
    /** Waits until it has shown this, from the beginning on. */
    async shows(wanted: string) {
      let text = "";
      await client.waitFor(({ method, params }) => {
        if (method === "process/output" && isObject(params)) {
          text += Buffer.from(String(params["chunk"]), "base64").toString();
        }
        return text.includes(wanted);
      }).catch((error: unknown) => {
        throw new Error(`it shows ${JSON.stringify(text)}, not ${wanted}`, { cause: error });
      });
    },
  };
}

/** Places of the messages that fit. */
function places(fits: (message: JsonObject) => boolean): number[] {
  return client.messages.flatMap(({ message }, i) => fits(message) ? [i] : []);
}

const isAbout = (processId: string) => (message: JsonObject) =>
  isObject(message["params"]) && message["params"]["processId"] === processId;

/** The texts of a `process/read` answer's chunks. */
function textsOf(answer: JsonObject): string[] {
  const chunks: unknown = answer["chunks"];
  if (!Array.isArray(chunks)) throw new Error(`no chunks: ${JSON.stringify(answer)}`);
  return chunks.map((chunk: unknown) =>
    isObject(chunk) ? Buffer.from(String(chunk["chunk"]), "base64").toString() : "?"
  );
}

/** Resumes as soon as the server has seen the end of the connection before. */
async function resume(sessionId: string): Promise<WireClient> {
  for (;;) {
    try {
      return await server.connect({ resumeSessionId: sessionId });
    } catch (error) {
      if (!(error instanceof WireError) || error.code !== -32010) throw error;
    }
  }
}

test("the answer to a start precedes the process's events, which come in order", async () => {
  const ids = Array.from({ length: 200 }, (_, i) => `p${i}`);
  const answers = ids.map(async (id) => {
    const result = await client.startProcess(id, ["echo", id]);
    assert.is(result["processId"], id);
    return client.messages.findIndex(({ message }) => message["result"] === result);
  });
  for (const [i, id] of ids.entries()) {
    const { seqs, stdout, exitCode } = await client.collect(id);
    assert.equal([stdout, exitCode], [`${id}\n`, 0]);
    assert.equal(seqs, [1, 2, 3]);
    assert.ok(
      (await answers[i] ?? Infinity) < (places(isAbout(id))[0] ?? -1),
      `${id}: event before the answer`,
    );
  }
});

test("events of both streams come in order; one exited, closed last", async () => {
  const script = "i=0; while [ $i -lt 300 ]; do echo $i; echo e$i >&2; i=$((i+1)); done; exit 9";
  await client.startProcess("p", sh(script));
  const { seqs, stdout, stderr, exitCode } = await client.collect("p"); // also checks exited and closed
  assert.equal(seqs, seqs.map((_, i) => i + 1));
  assert.is(stdout, Array.from({ length: 300 }, (_, i) => `${i}\n`).join(""));
  assert.is(stderr, Array.from({ length: 300 }, (_, i) => `e${i}\n`).join(""));
  assert.is(exitCode, 9);
});

test("a long poll delays nothing", async () => {
  await client.startProcess("p", ["sleep", "1000"]);
  const polls = Array.from(
    { length: 100 },
    () =>
      client.call("process/read", { processId: "p", afterSeq: 0, waitMs: LONG_MS }, { timeoutMs: LONG_MS }),
  );
  assert.equal(await client.call("environment/status"), { status: "ready" });
  await client.startProcess("q", ["echo", "meanwhile"]);
  assert.is((await client.collect("q")).stdout, "meanwhile\n");
  assert.equal(await client.call("process/terminate", { processId: "p" }), { running: true });
  for (const answer of await Promise.all(polls)) assert.is(answer["exitCode"], 137);
});

test("writes to one process stay in order", async () => {
  await client.startProcess("p", ["cat"], { pipeStdin: true });
  const lines = Array.from({ length: 500 }, (_, i) => `line ${i}\n`);
  const answers = lines.map((line, i) => write("p", line, `w${i}`));
  const end = client.call("process/closeStdin", { processId: "p" });
  for (const answer of await Promise.all([...answers, end])) assert.equal(answer, { status: "accepted" });
  assert.is((await client.collect("p")).stdout, lines.join(""));
});

test("a writeId is written once, whatever the bytes", async () => {
  await client.startProcess("p", ["cat"], { pipeStdin: true });
  for (const text of ["first", "again", "again"]) {
    assert.equal(await write("p", text, "same"), { status: "accepted" });
  }
  await Promise.all([write("p", " second", "x"), write("p", " not", "x")]);
  await client.call("process/closeStdin", { processId: "p" });
  assert.is((await client.collect("p")).stdout, "first second");
  assert.equal(await refusal(write("p", "x", "")), [-32602, "writeId must not be empty"]);
});

test("closeStdin in a terminal is one key, unless it is final", async () => {
  const { close, shows } = await terminal(
    sh('cat; echo end 1; read line; echo "[$line]"; cat; echo end 2; cat; cat; cat; echo end 3; sleep 1000'),
  );
  assert.equal(await close(), { status: "accepted" });
  await shows("end 1\r\n");
  assert.equal(await write("t", "more\n", "1"), { status: "accepted" });
  await shows("[more]\r\n");
  assert.equal(await close(), { status: "accepted" });
  await shows("end 2\r\n");
  for (let times = 0; times < 2; times++) assert.equal(await close({ final: true }), { status: "accepted" });
  assert.equal(await close(), { status: "accepted" });
  assert.equal(await write("t", "late", "2"), { status: "stdinClosed" });
  await shows("end 3\r\n");
  await client.call("process/terminate", { processId: "t" });
  await client.collect("t");
});

for (
  const [line, keys] of [["Enter", "x\r"], ["an end", "\x04"], ["an end after a part", "x\x04\x04"]] as const
) {
  test(`closeStdin in a terminal ends no more than one program: after ${line}`, async () => {
    const script = `${keys.endsWith("\x04") ? "cat; " : ""}cat; echo end; read line; echo "[$line]"`;
    const { close, shows } = await terminal(sh(script));
    await write("t", keys, "1");
    await close();
    await shows("end\r\n");
    await write("t", "more\n", "2");
    await shows("[more]\r\n");
    await client.collect("t");
  });
}

test("closeStdin is the end of the input, and tells what it met", async () => {
  const close = (processId: string) => client.call("process/closeStdin", { processId });
  await client.startProcess("p", sh("cat; echo end; read line < /dev/null; sleep 1000"), { pipeStdin: true });
  await write("p", "input ", "1");
  assert.equal(await close("p"), { status: "accepted" });
  assert.equal(await close("p"), { status: "accepted" });
  assert.equal(await write("p", "late", "2"), { status: "stdinClosed" });
  let text = "";
  await client.waitFor(({ method, params }) => {
    if (method === "process/output" && isObject(params)) {
      text += Buffer.from(String(params["chunk"]), "base64").toString();
    }
    return text === "input end\n";
  });
  await client.call("process/terminate", { processId: "p" });
  await client.collect("p");
  assert.equal(await close("p"), { status: "stdinClosed" });
  assert.equal(await write("p", "later", "3"), { status: "stdinClosed" });
  await client.startProcess("without", ["true"]);
  assert.equal(await close("without"), { status: "stdinClosed" });
  assert.equal(await close("nobody"), { status: "unknownProcess" });
  assert.equal(await write("nobody", "x", "1"), { status: "unknownProcess" });
});

test("a start can be terminated before it is done", async () => {
  const before = childrenOf(server.pid);
  for (let round = 0; round < 30; round++) {
    const processId = `p${round}`;
    const starting = client.startProcess(processId, ["sleep", "1000"]);
    const outcome = starting.then(() => "started", () => "cancelled");
    assert.equal(await client.call("process/terminate", { processId }), { running: true });
    if (await outcome === "started") {
      assert.is((await client.collect(processId)).exitCode, 137);
      continue;
    }
    assert.equal(await refusal(starting), [-32600, `process ${processId} start was cancelled`]);
    const read = client.call("process/read", { processId });
    assert.equal(await refusal(read), [-32600, `unknown process id ${processId}`]); // not left "starting"
  }
  await until("no child is left", () => childrenOf(server.pid).every((pid) => before.includes(pid)));
});

test("process/read begins after a number, stops at a size and wakes for news", async () => {
  await client.startProcess("p", sh("while read line; do echo $line; done; exit 6"), { pipeStdin: true });
  const read = (params: JsonObject) => client.call("process/read", { processId: "p", ...params });
  const first = read({ waitMs: LONG_MS });
  await write("p", "one\n", "1");
  const woken = await first;
  assert.equal(textsOf(woken), ["one\n"]);
  assert.equal([woken["nextSeq"], woken["exited"], woken["closed"], woken["exitCode"]], [
    2,
    false,
    false,
    null,
  ]);
  const second = read({ afterSeq: 1, waitMs: LONG_MS });
  await write("p", "second\n", "2");
  assert.equal(textsOf(await second), ["second\n"]);
  const cut = await read({ afterSeq: 0, maxBytes: 5 });
  assert.equal([textsOf(cut), cut["nextSeq"]], [["one\n"], 2]);
  assert.equal(textsOf(await read({ maxBytes: 0 })), ["one\n"]); // at least one chunk
  assert.equal(textsOf(await read({ maxBytes: 11 })), ["one\n", "second\n"]);
  assert.equal(textsOf(await read({ afterSeq: 2, waitMs: 1 })), []); // in vain
  const end = read({ afterSeq: 2, waitMs: LONG_MS });
  await client.call("process/closeStdin", { processId: "p" });
  assert.equal([(await end)["exited"], (await end)["exitCode"]], [true, 6]);
  await client.collect("p");
  const closed = await read({ afterSeq: 4, waitMs: LONG_MS }); // nothing will come: at once
  assert.equal([closed["chunks"], closed["nextSeq"], closed["closed"]], [[], 5, true]);
});

test("the exit is told at once, the end when the last child lets go of the pipes", async () => {
  const gate = join(tempDir(), "gate");
  execFileSync("mkfifo", [gate]);
  await client.startProcess("p", sh(`(read line < ${gate}; echo late) & echo early; exit 5`));
  const exited = await client.waitFor(({ method }) => method === "process/exited");
  assert.equal(exited["params"], { processId: "p", seq: 2, exitCode: 5, sandboxDenied: false });
  const answer = await client.call("process/read", { processId: "p" });
  assert.equal([textsOf(answer), answer["exited"], answer["closed"]], [["early\n"], true, false]);
  await writeFile(gate, "go\n");
  const { stdout, seqs } = await client.collect("p");
  assert.equal([stdout, seqs], ["early\nlate\n", [1, 2, 3, 4]]);
});

test("what a leader left behind is terminated until the end, then only on request", async () => {
  const left = (id: string, redirect: string) =>
    client.startProcess(id, sh(`sleep 1000 ${redirect} & echo $!`));
  const job = async (id: string) => {
    const printed = await client.waitFor((message) =>
      message.method === "process/output" && isAbout(id)(message)
    );
    return Number(Buffer.from(String(isObject(printed["params"]) && printed["params"]["chunk"]), "base64"));
  };
  await left("open", "");
  const open = await job("open");
  await client.waitFor((message) => message.method === "process/exited" && isAbout("open")(message));
  assert.ok(isRunning(open));
  assert.equal(await client.call("process/terminate", { processId: "open" }), { running: false });
  await client.collect("open");
  await until("the job has ended", () => !isRunning(open));

  await left("closed", "> /dev/null 2>&1");
  const closed = await job("closed");
  await client.collect("closed");
  // What the reference's client sends after every end: it must not end a server that a command has started.
  assert.equal(await client.call("process/terminate", { processId: "closed" }), { running: false });
  await client.call("process/list", {});
  assert.ok(isRunning(closed));
  const ended = await client.call("process/terminate", { processId: "closed", graceMs: 0 });
  assert.equal(ended, { running: false, survivors: [] });
  assert.not(isRunning(closed));
});

test("a process outlives its connection, and what it printed can be read", async () => {
  const script = "echo $$; read line; echo got $line; read line; exit 4";
  await client.startProcess("p", sh(script), { pipeStdin: true });
  const { params } = await client.waitFor(({ method }) => method === "process/output");
  const group = isObject(params) ? Number(Buffer.from(String(params["chunk"]), "base64").toString()) : 0;
  await write("p", "first\n", "1");
  await client.terminate(); // before or after the process has answered
  client = await resume(client.sessionId);
  assert.is(groupMembers(group).length, 1);
  const read = await client.call("process/read", { processId: "p", afterSeq: 1, waitMs: LONG_MS });
  assert.equal(textsOf(read), ["got first\n"]);
  assert.equal(await write("p", "first\n", "1"), { status: "accepted" }); // sent again: not written again
  assert.equal(await write("p", "second\n", "2"), { status: "accepted" });
  const { seqs } = await client.collect("p", { afterSeq: 2 }).catch(() =>
    client.collect("p", { afterSeq: 1 })
  );
  assert.equal(seqs.slice(-2), [3, 4]);
  await until("it has ended", () => groupMembers(group).length === 0);
});

test("a session is resumed by who knows it, when it is free", async () => {
  assert.equal(await refusal(server.connect({ resumeSessionId: UNKNOWN })), [
    -32600,
    `unknown session id ${UNKNOWN}`,
  ]);
  const { sessionId } = client;
  const other = await server.connect({ handshake: false });
  const politely = { clientName: "test", resumeSessionId: sessionId, takeOver: false };
  assert.equal(await refusal(other.call("initialize", politely)), [
    -32010,
    `session ${sessionId} is already attached to another connection`,
  ]);
  await other.terminate();
  assert.equal(await client.call("environment/status"), { status: "ready" }); // not disturbed by that
});

test("large output of a process with any name arrives whole", async () => {
  for (const name of ["plain", "ünï 漢字 🙂", 'quote " and \\ and "}}', "x".repeat(5_000)]) {
    await client.startProcess(name, ["/bin/sh", "-c", "seq 1 40000"]);
    const { stdout } = await client.collect(name);
    assert.is(stdout.length, 228_894);
    assert.ok(stdout.endsWith("\n39999\n40000\n"));
  }
});

test.run();
