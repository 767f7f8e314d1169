// Binary messages, byte by byte; docs/protocol.md has their form.
import { Buffer } from "node:buffer";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { WebSocket } from "ws";
import { startServer, type TestServer } from "../harness/server.ts";
import { tempDir } from "../harness/temp.ts";
import { isObject, type JsonObject } from "../harness/wire_client.ts";

const LIMIT_MS = 20_000;
const OUTPUT = 1;
const WRITE = 2;
const WRITE_BLOCK = 4;

/** A message as it came: JSON, or the bytes of a binary one. */
type Incoming = JsonObject | Buffer;

interface Client {
  readonly result: JsonObject;
  send(message: JsonObject | Buffer): void;
  /** The next message, in order. */
  next(): Promise<Incoming>;
  /** Messages up to the one that is wanted; it is the last. */
  upTo(wanted: (message: JsonObject) => boolean): Promise<Incoming[]>;
  start(processId: string, argv: string[], more?: JsonObject): Promise<void>;
  close(): Promise<void>;
}

let server: TestServer;
test.before(async () => {
  server = await startServer();
});
test.after(async () => {
  await server.stop();
});

async function open(params: JsonObject): Promise<Client> {
  const socket = new WebSocket(server.url);
  const messages: Incoming[] = [];
  let wake = () => {};
  socket.on("message", (data, isBinary) => {
    const bytes = Buffer.isBuffer(data) ? data : Buffer.alloc(0);
    const value: unknown = isBinary ? bytes : JSON.parse(bytes.toString());
    messages.push(Buffer.isBuffer(value) || isObject(value) ? value : {});
    wake();
  });
  await new Promise((ok, fail) => socket.once("open", ok).once("error", fail));
  const next = async () => {
    const deadline = Date.now() + LIMIT_MS;
    for (;;) {
      const message = messages.shift();
      if (message) return message;
      const left = deadline - Date.now();
      if (left <= 0) throw new Error("no message");
      await new Promise<void>((ok) => {
        const timer = setTimeout(ok, left);
        wake = () => {
          clearTimeout(timer);
          ok();
        };
      });
    }
  };
  const send = (message: JsonObject | Buffer) =>
    socket.send(Buffer.isBuffer(message) ? message : JSON.stringify(message));
  const upTo = async (wanted: (message: JsonObject) => boolean) => {
    const seen: Incoming[] = [];
    for (;;) {
      const message = await next();
      seen.push(message);
      if (!Buffer.isBuffer(message) && wanted(message)) return seen;
    }
  };
  send({ id: 1, method: "initialize", params: { clientName: "frames", ...params } });
  const answer = await next();
  const result = Buffer.isBuffer(answer) ? undefined : answer["result"];
  assert.ok(isObject(result), JSON.stringify(answer));
  send({ method: "initialized" });
  return {
    result,
    send,
    next,
    upTo,
    async start(processId, argv, more = {}) {
      const params = {
        processId,
        argv,
        cwd: "file:///",
        env: { PATH: "/usr/bin:/bin" },
        tty: false,
        ...more,
      };
      send({ id: 2, method: "process/start", params });
      const started = await next();
      assert.ok(!Buffer.isBuffer(started) && "result" in started, JSON.stringify(started));
    },
    async close() {
      const closed = new Promise((ok) => socket.once("close", ok));
      socket.close();
      await closed;
    },
  };
}

function message(kind: number, id: number, number: bigint, name: string | Buffer, bytes: string): Buffer {
  const header = Buffer.alloc(16);
  const encoded = Buffer.from(name);
  header.writeUInt8(kind, 0);
  header.writeUInt16BE(encoded.length, 2);
  header.writeUInt32BE(id, 4);
  header.writeBigUInt64BE(number, 8);
  return Buffer.concat([header, encoded, Buffer.from(bytes)]);
}

const closedOf = (processId: string) => (m: JsonObject) =>
  m["method"] === "process/closed" && isObject(m["params"]) && m["params"]["processId"] === processId;
const answerTo = (id: number) => (m: JsonObject) => m["id"] === id;
const malformed = (m: Incoming, text: RegExp) => {
  assert.ok(!Buffer.isBuffer(m) && isObject(m["error"]), String(m));
  assert.equal([m["id"], m["error"]["code"]], [-1, -32600]);
  assert.match(String(m["error"]["message"]), text);
};

test("output is bytes behind a header, the rest is JSON", async () => {
  const client = await open({ binaryFrames: 1 });
  assert.is(client.result["binaryFrames"], 1);
  await client.start("pü", ["/bin/sh", "-c", "printf 'a\\377b'; sleep 0.1; printf err >&2"]);
  const seen = await client.upTo(closedOf("pü"));
  const frames = seen.filter((m) => Buffer.isBuffer(m));
  const header = (stream: number, seq: number) =>
    `01${stream.toString(16).padStart(2, "0")}000300000000` +
    seq.toString(16).padStart(16, "0") + Buffer.from("pü").toString("hex");
  assert.equal(frames.map((frame) => frame.toString("hex")), [
    `${header(0, 1)}61ff62`,
    `${header(1, 2)}657272`,
  ]);
  assert.equal(seen.filter((m) => !Buffer.isBuffer(m)).map((m) => "method" in m && m["method"]), [
    "process/exited",
    "process/closed",
  ]);
  await client.start("t", ["printf", "x"], { tty: true });
  const [terminal] = await client.upTo(closedOf("t"));
  assert.ok(
    Buffer.isBuffer(terminal) && terminal[0] === OUTPUT && terminal[1] === 2,
    "the stream of a terminal",
  );
  await client.close();
});

test("nobody who has not asked for them gets binary messages, or may send one", async () => {
  for (const params of [{}, { binaryFrames: 0 }]) {
    const client = await open(params);
    assert.is(client.result["binaryFrames"], undefined);
    await client.start("p", ["echo", "x"]);
    assert.is((await client.upTo(closedOf("p"))).filter((m) => Buffer.isBuffer(m)).length, 0);
    client.send(message(WRITE, 5, 1n, "p", "x"));
    malformed(await client.next(), /failed to parse/);
    await client.close();
  }
  const later = await open({ binaryFrames: 9 });
  assert.is(later.result["binaryFrames"], 1, "the newest that both know");
  await later.close();
});

test("input is written once for each number, and answered in JSON", async () => {
  const client = await open({ binaryFrames: 1 });
  await client.start("cat", ["cat"], { pipeStdin: true });
  client.send(message(WRITE, 7, 0xfedcba9876543210n, "cat", "ab"));
  client.send(message(WRITE, 8, 0xfedcba9876543210n, "cat", "ab"));
  client.send({
    id: 9,
    method: "process/write",
    params: { processId: "cat", chunk: "Yw==", writeId: "fedcba9876543210" },
  });
  client.send(message(WRITE, 10, 1n, "cat", "d"));
  client.send(message(WRITE, 11, 2n, "nobody", "d"));
  const statuses = new Map<unknown, unknown>();
  let output = "";
  while (statuses.size < 5 || output.length < 3) {
    const got = await client.next();
    if (Buffer.isBuffer(got)) output += got.subarray(16 + 3).toString();
    else statuses.set(got["id"], isObject(got["result"]) ? got["result"]["status"] : got);
  }
  assert.equal([7, 8, 9, 10, 11].map((id) => statuses.get(id)), [
    "accepted",
    "accepted",
    "accepted",
    "accepted",
    "unknownProcess",
  ]);
  client.send({ id: 12, method: "process/closeStdin", params: { processId: "cat" } });
  for (const m of await client.upTo(closedOf("cat"))) {
    if (Buffer.isBuffer(m)) output += m.subarray(16 + 3).toString();
  }
  assert.is(output, "abd");
  await client.close();
});

test("blocks of files are bytes both ways, errors and answers without bytes are JSON", async () => {
  const path = join(tempDir(), "file");
  const client = await open({ binaryFrames: 1 });
  const json = async (id: number, method: string, params: JsonObject) => {
    client.send({ id, method, params });
    return await client.next();
  };
  const uri = pathToFileURL(path).href;
  assert.equal(await json(2, "fs/open", { handleId: "wü", path: uri, mode: "replace" }), {
    id: 2,
    result: { handleId: "wü" },
  });
  client.send(message(WRITE_BLOCK, 3, 2n, "wü", "cd"));
  assert.equal(await client.next(), { id: 3, result: {} });
  client.send(message(WRITE_BLOCK, 4, 0n, "wü", "ab"));
  assert.equal(await client.next(), { id: 4, result: {} });
  for (const [number, name, code] of [[2n ** 63n, "wü", -32600], [0n, "none", -32004]] as const) {
    client.send(message(WRITE_BLOCK, 5, number, name, "x"));
    const refused = await client.next();
    assert.ok(!Buffer.isBuffer(refused) && isObject(refused["error"]), JSON.stringify(refused));
    assert.equal([refused["id"], refused["error"]["code"]], [5, code]);
  }
  assert.equal(await json(6, "fs/close", { handleId: "wü" }), { id: 6, result: {} });
  assert.is(readFileSync(path, "utf8"), "abcd");

  await json(7, "fs/open", { handleId: "r", path: uri });
  const block = async (id: number | string, offset: number, len: number) => {
    client.send({ id, method: "fs/readBlock", params: { handleId: "r", offset, len } });
    return await client.next();
  };
  const frame = (flags: string, id: string, text: string) =>
    `03${flags}0000${id}0000000000000000${Buffer.from(text).toString("hex")}`;
  const shown = (got: Incoming) => Buffer.isBuffer(got) ? got.toString("hex") : got;
  assert.equal(shown(await block(8, 0, 4)), frame("00", "00000008", "abcd"));
  assert.equal(shown(await block(4_294_967_295, 3, 4)), frame("01", "ffffffff", "d"));
  assert.equal(shown(await block(9, 4, 4)), frame("01", "00000009", ""));
  // What has no room in a header, and who has not asked for it, gets JSON.
  const asJson = { chunk: "YWI=", eof: false };
  assert.equal(await block("text", 0, 2), { id: "text", result: asJson });
  assert.equal(await block(4_294_967_296, 0, 2), { id: 4_294_967_296, result: asJson });
  await client.close();
  const plain = await open({});
  plain.send({ id: 2, method: "fs/open", params: { handleId: "r", path: uri } });
  await plain.next();
  plain.send({ id: 3, method: "fs/readBlock", params: { handleId: "r", offset: 0, len: 2 } });
  assert.equal(await plain.next(), { id: 3, result: asJson });
  await plain.close();
});

test("what is no such message is answered like JSON that cannot be read, and nothing else happens", async () => {
  const client = await open({ binaryFrames: 1 });
  const whole = message(WRITE, 5, 1n, "name", "");
  const bad: [Buffer, RegExp][] = [
    [whole.subarray(0, 1), /cut short/],
    [whole.subarray(0, 15), /cut short/],
    [whole.subarray(0, 19), /cut short/],
    [message(WRITE, 5, 1n, Buffer.from([0xff]), "x"), /not UTF-8/],
    [message(OUTPUT, 5, 1n, "p", "x"), /unknown kind of binary message 1/],
    [message(8, 5, 1n, "p", "x"), /unknown kind of binary message 8/],
    [message(0, 5, 1n, "p", "x"), /failed to parse/],
  ];
  for (const [bytes, text] of bad) {
    client.send(bytes);
    malformed(await client.next(), text);
  }
  client.send(Buffer.from('\t{"id":6,"method":"environment/status"}')); // JSON in a binary message stays JSON
  const [status] = (await client.upTo(answerTo(6))).slice(-1);
  assert.equal(status, { id: 6, result: { status: "ready" } });
  await client.close();
});

test("a name that fits into no header travels in JSON", async () => {
  const client = await open({ binaryFrames: 1 });
  const name = "n".repeat(65_536);
  await client.start(name, ["printf", "x"]);
  const [first] = await client.upTo(closedOf(name));
  assert.ok(!Buffer.isBuffer(first) && first?.["method"] === "process/output", "output in JSON");
  await client.close();
});

test.run();
