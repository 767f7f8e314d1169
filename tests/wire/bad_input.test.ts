// What a peer can send that it should not: each case is answered or ends one connection, with a reason, and the server
// goes on for everybody else. What a peer can do that is merely greedy is in flood.test.ts.
import { Buffer } from "node:buffer";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { connected } from "../harness/connected.ts";
import { Opcode, openRaw, type RawSocket } from "../harness/raw_socket.ts";
import type { TestServer } from "../harness/server.ts";
import { tempDir } from "../harness/temp.ts";
import { isObject, type JsonObject, type WireClient, WireError } from "../harness/wire_client.ts";

const MIB = 1024 * 1024;
const MAX_MESSAGE = 64 * MIB;
/** Of the peer's text at most 200 characters come back, in a sentence of ours that may quote it twice. */
const MAX_ERROR_CHARS = 2 * 200 + 100;

let server: TestServer;
let client: WireClient;

connected((c, s) => {
  client = c;
  server = s;
});
test.after.each(async () => {
  const fresh = await server.connect();
  assert.equal(await fresh.call("environment/status"), { status: "ready" });
  await fresh.terminate();
});

/** The error of the next answer that is for `id`; later messages count only. */
async function errorFor(id: unknown, from: number): Promise<[number, string]> {
  const answer = await client.waitFor((message) =>
    message["id"] === id && client.messages.findIndex((r) => r.message === message) >= from
  );
  const { error } = answer;
  if (!isObject(error)) throw new Error(`no error: ${JSON.stringify(answer).slice(0, 300)}`);
  return [Number(error["code"]), String(error["message"])];
}

/** Sends a text that cannot be a message and expects the answer to such ones. */
async function malformed(text: string | Uint8Array): Promise<string> {
  const from = client.messages.length;
  if (typeof text === "string") client.sendText(text);
  else client.sendBinary(text);
  const [code, message] = await errorFor(-1, from);
  const what = String(text).slice(0, 80);
  assert.is(code, -32600, what);
  const intro = /^failed to parse websocket JSON-RPC message from exec-server websocket 127\.0\.0\.1:\d+: /;
  assert.match(message, intro, what);
  assert.ok(message.length <= MAX_ERROR_CHARS, `${what}: ${message.length} characters`);
  return message.replace(intro, "");
}

/** The error that a request is answered with. */
async function refused(method: string, params?: unknown): Promise<[number, string]> {
  const result = await client.call(method, params).catch((error: unknown) => error);
  if (!(result instanceof WireError)) throw new Error(`${method}: ${JSON.stringify(result)}`);
  assert.ok(result.message.length <= MAX_ERROR_CHARS, `${method}: ${result.message.length} characters`);
  return [result.code, result.message];
}

/** An `environment/status` request with something beside it that is ignored. */
const beside = (json: string) => `{"id":"b","method":"environment/status","beside":${json}}`;
const nested = (levels: number) => "[".repeat(levels) + "]".repeat(levels);

async function accepted(text: string): Promise<void> {
  const from = client.messages.length;
  client.sendText(text);
  const answer = await client.waitFor((message) =>
    message["id"] === "b" && client.messages.findIndex((r) => r.message === message) >= from
  );
  assert.equal(answer["result"], { status: "ready" });
}

test("what is no JSON", async () => {
  const bad = [
    "",
    " ",
    "x",
    "{",
    "}",
    '{"id":1',
    '{"id":1,}',
    "[1,2",
    '{"id":01,"method":"m"}',
    "NaN",
    '"',
    "\\",
  ];
  for (
    const text of [...bad, '{"id":1,"method":"m"}x', "{'id':1}", '{"a":"\\x"}', '{"a":"\n"}', "\ufeff{}"]
  ) {
    await malformed(text);
  }
});

test("what is JSON and no message", async () => {
  for (const text of ["[]", "[{}]", "1", '"x"', "null", "true"]) {
    assert.is(await malformed(text), "expected a JSON-RPC object", text);
  }
  for (const text of ["{}", '{"id":1}']) assert.is(await malformed(text), "missing field `error`", text);
  for (const id of ["null", "true", "1.5", "7.0", "1e2", "9223372036854775808", "{}", "[]"]) {
    const problem = await malformed(`{"id":${id},"method":"environment/status"}`);
    assert.is(problem, "data did not match any variant of untagged enum RequestId", id);
  }
  for (const method of ["null", "5", "{}", "[]", "false"]) await malformed(`{"id":1,"method":${method}}`);
  for (const trace of ["5", '"x"', "[]", '{"traceparent":5}', '{"tracestate":[]}']) {
    await malformed(`{"id":1,"method":"environment/status","trace":${trace}}`);
  }
  await malformed('{"id":1,"error":{"code":"x","message":5}}');
});

test("duplicate keys, at any depth", async () => {
  assert.match(await malformed('{"id":1,"id":1,"method":"m"}'), /^duplicate JSON object key `id`/);
  assert.match(await malformed(beside('[{"a":[{"k":1,"\\u006b":2}]}]')), /^duplicate JSON object key `k`/);
  assert.match(
    await malformed(beside('{"__proto__":1,"__proto__":2}')),
    /^duplicate JSON object key `__proto__`/,
  );
  assert.match(await malformed(beside(`{${`"${"x".repeat(5000)}":1,`.repeat(2)}"y":1}`)), /^duplicate/);
  await accepted(beside('[{"k":1},{"k":{"k":2}}]'));
});

test("nesting below level 127", async () => {
  await accepted(beside(nested(126)));
  for (const text of [beside(nested(127)), beside("[".repeat(127)), "[".repeat(10 * MIB)]) {
    assert.match(await malformed(text), /^recursion limit exceeded/);
  }
  assert.match(
    await malformed(beside(`${'{"a":'.repeat(200)}1${"}".repeat(200)}`)),
    /^recursion limit exceeded/,
  );
});

test("more than 262,144 values", async () => {
  const list = (count: number) => `[${"0,".repeat(count - 1)}0]`;
  await accepted(beside(list(262_144 - 4))); // the message, id, method and the list count too
  assert.match(
    await malformed(beside(list(262_144 - 3))),
    /^JSON-RPC message exceeds the limit of 262144 JSON values/,
  );
  await malformed(beside(list(5_000_000)));
});

test("lone surrogates", async () => {
  for (
    const bad of [
      '"\\ud800"',
      '"a\\udc00b"',
      '"\\udc00\\ud800"',
      '{"\\ud83d":1}',
      '["\\ud83d\\ud83d\\ude00"]',
    ]
  ) {
    await malformed(beside(bad));
  }
  await accepted(beside('"\\ud83d\\ude00 \\\\ud800"'));
});

test("invalid UTF-8 in a binary frame is answered, in a text frame ends the connection", async () => {
  const bad = Buffer.concat([Buffer.from('{"id":1,"method":"a'), Buffer.from([0xff]), Buffer.from('"}')]);
  await malformed(bad);
  await malformed(Buffer.from([0xed, 0xa0, 0x80])); // a surrogate
  const closed = await rawly((raw) => raw.sendFrame({ opcode: Opcode.text, payload: bad }));
  assert.is(closed.code, 1007);
});

test("messages above 64 MiB end the connection", async () => {
  const padding = MAX_MESSAGE - beside('""').length;
  client.sendFragments(beside(`"${"x".repeat(padding)}"`), 8 * MIB);
  assert.equal((await client.waitFor(({ id }) => id === "b"))["result"], { status: "ready" });
  const claim = { opcode: Opcode.text, payload: Buffer.from("{"), claimed: MAX_MESSAGE + 1 };
  assert.is((await rawly((raw) => raw.sendFrame(claim))).code, 1009);
  const pieces = await rawly((raw) => {
    const payload = Buffer.alloc(16 * MIB, 32);
    for (const opcode of [1, 0, 0, 0]) raw.sendFrame({ opcode, fin: false, payload });
    raw.sendFrame({ opcode: 0, payload: Buffer.from(" ") });
  });
  assert.is(pieces.code, 1009);
});

test("frames that break the WebSocket protocol end the connection", async () => {
  const payload = Buffer.from("{}");
  assert.is((await rawly((raw) => raw.sendFrame({ opcode: 3, payload }))).code, 1002);
  assert.is((await rawly((raw) => raw.sendFrame({ opcode: Opcode.continuation, payload }))).code, 1002);
});

test("an unknown notification and an answer to nothing end the connection, with a reason", async () => {
  const ends: [string, RegExp][] = [
    ['{"method":"no/such"}', /unknown notification.*no\/such/],
    [`{"method":"${"ü".repeat(1000)}"}`, /unknown notification/],
    ['{"method":"process/start","params":{}}', /unknown notification/],
    ['{"id":77,"result":{}}', /answer/],
    ['{"id":77,"error":{"code":1,"message":"x"}}', /answer/],
  ];
  for (const [text, expected] of ends) {
    const other = await server.connect();
    other.sendText(text);
    const { code, reason } = await other.closed;
    assert.is(code, 1008, text.slice(0, 50));
    assert.match(reason, expected);
  }
});

test("the handshake out of order", async () => {
  const without = await server.connect({ handshake: false });
  const error = (method: string, params?: unknown) =>
    without.call(method, params).then(
      () => "accepted",
      (e: unknown) => e instanceof WireError ? `${e.code} ${e.message}` : "?",
    );
  const initialize = { clientName: "test" };
  assert.is(await error("no/such"), "-32601 exec-server stub does not implement `no/such` yet");
  assert.is(await error("process/terminate"), "-32602 invalid type: null, expected struct TerminateParams");
  const terminate = { processId: "p" };
  assert.is(
    await error("process/terminate", terminate),
    "-32600 client must call initialize before using exec methods",
  );
  assert.is(
    await error("fs/canonicalize", { path: "file:///" }),
    "-32600 client must call initialize before using filesystem methods",
  );
  assert.is(await error("initialize", {}), "-32602 missing field `clientName`");
  assert.is(
    await error("initialize", { ...initialize, resumeSessionId: "x" }),
    "-32600 unknown session id x",
  );
  assert.is(await error("initialize", initialize), "accepted");
  assert.is(
    await error("process/terminate", terminate),
    "-32600 client must send initialized before using exec methods",
  );
  assert.is(await error("initialize", initialize), "-32600 initialize may only be sent once per connection");
  for (const params of [{}, null, [1], "x"]) without.send({ method: "initialized", params });
  assert.is(await error("process/terminate", terminate), "accepted");
  await without.close();
  const early = await server.connect({ handshake: false });
  early.send({ method: "initialized" });
  const { code, reason } = await early.closed;
  assert.is(code, 1008);
  assert.match(reason, /initialized before/);
});

test("params of the wrong type", async () => {
  const start = { processId: "p", argv: ["true"], cwd: "file:///", env: {}, tty: false };
  const wrong: [JsonObject, string][] = [
    [{ argv: "true" }, 'invalid type: string "true", expected a sequence'],
    [{ argv: [1] }, "invalid type: number, expected a string"],
    [{ env: { A: null } }, "invalid type: null, expected a string"],
    [{ tty: "no" }, 'invalid type: string "no", expected a boolean'],
    [{ pipeStdin: null }, "invalid type: null, expected a boolean"],
    [
      { limits: { openFile: 5 } },
      "unknown field `openFile`, expected one of `cpuSeconds`, `addressSpaceBytes`, `dataBytes`, `openFiles`, " +
      "`processes`, `fileSizeBytes`",
    ],
    [{ limits: { cpuSeconds: "1" } }, 'invalid type: string "1", expected u64'],
    [{ limits: 5 }, "invalid type: number, expected struct ResourceLimits"],
    [{ cwd: "/tmp" }, "invalid URI: relative URL without a base"],
    [{ cwd: undefined }, "missing field `cwd`"],
    [{ processId: undefined }, "missing field `processId`"],
  ];
  for (const [change, message] of wrong) {
    assert.equal(await refused("process/start", { ...start, ...change }), [-32602, message]);
  }
  for (const params of [0, false, "", [], { a: 1 }]) {
    assert.is((await refused("environment/status", params))[0], -32602, JSON.stringify(params));
  }
  const write = { processId: "p", chunk: "!", writeId: "1" };
  assert.equal(await refused("process/write", write), [-32602, "Invalid symbol 33, offset 0."]);
  assert.equal(await refused("process/write", { ...write, chunk: "abc" }), [-32602, "Invalid padding"]);
  const spaced = { ...write, chunk: "eHh4 eHh4   " };
  assert.equal(await refused("process/write", spaced), [-32602, "Invalid symbol 32, offset 4."]);
  assert.equal(await refused("process/read", { processId: "p", afterSeq: -1 }), [-32602, "invalid number"]);
  assert.equal(await refused("process/signal", { processId: "p", signal: "kill" }), [
    -32602,
    "unknown variant `kill`, expected `interrupt` or the name of a POSIX signal",
  ]);
});

test("a list is no map", async () => {
  const start = { processId: "p", argv: ["true"], cwd: "file:///", env: [], tty: false };
  assert.equal(await refused("process/start", start), [-32602, "invalid type: sequence, expected a map"]);
});

test("what cannot be started", async () => {
  const folder = tempDir();
  const file = join(folder, "file");
  writeFileSync(file, "", { mode: 0o644 });
  const start = (argv: string[], more: JsonObject = {}) =>
    refused("process/start", { processId: "p", argv, cwd: "file:///", env: {}, tty: false, ...more });
  const missing = [-32603, "No such file or directory (os error 2)"];
  const nul = [-32603, "nul byte found in provided data"];
  assert.equal(await start([]), [-32602, "argv must not be empty"]);
  assert.equal(await start([""]), [-32603, "missing program for pipe spawn"]);
  assert.equal(await start(["true", "a\0"]), nul);
  assert.equal(await start(["true"], { env: { "A\0": "" } }), nul);
  assert.equal(await start(["true"], { env: { A: "\0" } }), nul);
  assert.equal(await start(["/missing/program"]), missing);
  assert.equal(await start(["no-such-program"]), missing);
  assert.equal(await start(["true"], { cwd: pathToFileURL(join(folder, "missing")).href }), missing);
  const cwd = pathToFileURL(file).href;
  assert.equal(await start(["true"], { cwd }), [-32603, "Not a directory (os error 20)"]);
  assert.equal(await start([file]), [-32603, "Permission denied (os error 13)"]);
  assert.equal(await start(["true", "x".repeat(200_000)]), [-32603, "Argument list too long (os error 7)"]);
  await client.startProcess("p", ["true"]); // none of these has taken the id
  assert.equal(await start(["true"]), [-32600, "process p already exists"]);
  await client.collect("p");
  assert.equal(await start(["true"]), [-32600, "process p already exists"]); // still retained
});

test("error texts quote no more than 200 characters", async () => {
  const long = "ü🙂x".repeat(100_000);
  const start = { processId: "p", argv: ["true"], cwd: "file:///", env: {}, tty: false };
  await refused(long); // the limit is checked in there
  await refused("process/read", { processId: long });
  await refused("process/signal", { processId: "p", signal: long });
  await refused("process/start", { ...start, tty: long });
  await refused("process/start", { ...start, cwd: `file:///${long}` });
  await refused("process/start", { ...start, cwd: `file://${"h".repeat(100_000)}/` });
  await refused("process/start", { ...start, cwd: `${"s".repeat(100_000)}:x` });
  await refused("process/start", { ...start, cwd: `file:///%00${long}` });
  await refused("process/start", { ...start, argv: [`/${long}`] });
  await refused("process/start", { ...start, metadata: { threadId: long } });
  await client.startProcess(long, ["true"]);
  await refused("process/start", { ...start, processId: long });
  await refused("fs/readFile", { path: `file:///${long}` });
  await refused("fs/readBlock", { handleId: long, offset: 0, len: 1 });
  await malformed(`{"id":1,"method":"x","${long}":1,"${long}":2}`);
  await malformed(`{"id":"${long}","error":${long}}`);
  await server.connect({ resumeSessionId: long }).then(() => assert.unreachable(), (error: Error) => {
    assert.ok(error.message.length <= MAX_ERROR_CHARS);
  });
});

/** How a connection of its own ends after `send`. */
async function rawly(send: (raw: RawSocket) => void): Promise<{ code: number; reason: string }> {
  const raw = await openRaw(server.url);
  try {
    send(raw);
    return await raw.closed();
  } finally {
    raw.destroy();
  }
}

test.run();
